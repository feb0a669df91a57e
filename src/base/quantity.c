/* SPDX-License-Identifier: MIT */
#include "base/quantity.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

static const char *const names[QUANTITY_STATUS_COUNT] = {
    [QUANTITY_ABSENT] = "absent",
    [QUANTITY_MEASURED] = "measured",
    [QUANTITY_MODELLED] = "modelled",
    [QUANTITY_SIMULATED] = "simulated",
};

const char *quantity_status_name(enum quantity_status status)
{
    return names[status];
}

int quantity_status_from_name(const char *name)
{
    for (int i = 0; i < QUANTITY_STATUS_COUNT; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

struct quantity quantity_absent(const char *reason)
{
    return (struct quantity){.status = QUANTITY_ABSENT, .value = NAN, .low = NAN, .high = NAN, .reason = reason};
}

struct quantity quantity_of(enum quantity_status status, double value, const char *method, const char *sensor)
{
    if (!isfinite(value))
        return quantity_absent("the computed value is not a finite number");
    return (struct quantity){
        .status = status, .value = value, .low = NAN, .high = NAN, .method = method, .sensor = sensor};
}

struct quantity quantity_remarked(enum quantity_status status, double value, const char *method, const char *remark)
{
    struct quantity q = quantity_of(status, value, method, NULL);
    q.reason = remark;
    return q;
}

static void set_string(json_t *object, const char *key, const char *value)
{
    if (value)
        json_object_set_new(object, key, json_string(value));
}

json_t *quantity_json(const struct quantity *q)
{
    struct quantity shown = *q;
    if (shown.status != QUANTITY_ABSENT && !isfinite(shown.value))
        shown = quantity_absent("the computed value is not a finite number");
    if (shown.status == QUANTITY_ABSENT && !shown.reason)
        g_error("an absent quantity without a reason");
    json_t *object = json_object();
    json_object_set_new(object, "status", json_string(names[shown.status]));
    if (shown.status == QUANTITY_ABSENT) {
        json_object_set_new(object, "value", json_null());
    } else {
        json_object_set_new(object, "value", json_real(shown.value));
        if (isfinite(shown.low) && isfinite(shown.high)) {
            json_object_set_new(object, "low", json_real(shown.low));
            json_object_set_new(object, "high", json_real(shown.high));
        }
    }
    set_string(object, "reason", shown.reason);
    set_string(object, "method", shown.method);
    set_string(object, "sensor", shown.sensor);
    return object;
}

int quantity_from_json(const json_t *tree, struct quantity *ret)
{
    const char *status = NULL;
    struct quantity q = quantity_absent(NULL);
    if (!json_is_object(tree) || !jsonx_get_string(tree, "status", true, &status, NULL))
        return 0;
    int code = quantity_status_from_name(status);
    if (code < 0 || !jsonx_get_real(tree, "value", code != QUANTITY_ABSENT, &q.value, NULL) ||
        !jsonx_get_real(tree, "low", false, &q.low, NULL) || !jsonx_get_real(tree, "high", false, &q.high, NULL) ||
        !jsonx_get_string(tree, "reason", false, &q.reason, NULL) ||
        !jsonx_get_string(tree, "method", false, &q.method, NULL) ||
        !jsonx_get_string(tree, "sensor", false, &q.sensor, NULL))
        return 0;
    q.status = (enum quantity_status)code;
    *ret = q;
    return 1;
}
