/* SPDX-License-Identifier: MIT */
/* What is assumed of a sensor nobody calibrated, and the file that replaces the assumption. */
#include "energy/energy.h"

#include <math.h>
#include <string.h>

/* No board found so far is outside of this (Yang et al., SC'24: 0.94 to 1.13): beyond it the file is mistaken. */
#define GAIN_MIN 0.5
#define GAIN_MAX 2.0

const struct meter_class *energy_prior_find(const char *sensor_class)
{
    const struct meter_class *found = meter_class_find(sensor_class), *widest = meter_class_at(0), *row;
    for (size_t i = 0; !found && (row = meter_class_at(i)); i++)
        if (!row->model_based && row->offset_u_w > widest->offset_u_w)
            widest = row;
    return found ? found : widest;
}

/* The file, and what a record says of it. */
static const struct member_row rows[] = {
    MEMBER_CHARS(struct energy_calibration, uuid, "uuid", MEMBER_REQUIRED),
    MEMBER(struct energy_calibration, gain, "gain", MEMBER_REQUIRED),
    MEMBER(struct energy_calibration, offset_w, "offset_w", MEMBER_REQUIRED),
    MEMBER(struct energy_calibration, u_gain, "u_gain", MEMBER_REQUIRED),
    MEMBER(struct energy_calibration, u_offset_w, "u_offset_w", MEMBER_OPTIONAL),
    MEMBER(struct energy_calibration, correlation, "correlation", MEMBER_OPTIONAL),
    MEMBER(struct energy_calibration, range_low_w, "range_low_w", MEMBER_OPTIONAL),
    MEMBER(struct energy_calibration, range_high_w, "range_high_w", MEMBER_OPTIONAL),
    MEMBER_CHARS(struct energy_calibration, method, "method", MEMBER_OPTIONAL),
    MEMBER_CHARS(struct energy_calibration, date, "date", MEMBER_OPTIONAL),
};

static bool check(const struct energy_calibration *c, const char *uuid, GError **error)
{
    if (!g_str_equal(c->uuid, uuid)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA, "it is the calibration of %s, not of %s", c->uuid, uuid);
        return false;
    }
    if (!(c->gain >= GAIN_MIN && c->gain <= GAIN_MAX) || !isfinite(c->offset_w) || !(c->u_gain >= 0 && c->u_gain < 1)) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "gain %g, offset_w %g, u_gain %g: expected a gain of %g to %g (reading = gain × true + offset_w) and "
                    "a relative standard uncertainty u_gain of 0 to 1",
                    c->gain, c->offset_w, c->u_gain, GAIN_MIN, GAIN_MAX);
        return false;
    }
    if (c->u_offset_w < 0 || !(fabs(c->correlation) <= 1) || c->range_low_w > c->range_high_w) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_DATA,
                    "u_offset_w %g, correlation %g, range %g to %g W: expected an uncertainty of 0 or more, a "
                    "correlation of −1 to 1, a range from its lower end to its upper one",
                    c->u_offset_w, c->correlation, c->range_low_w, c->range_high_w);
        return false;
    }
    return true;
}

bool energy_calibration_load(const char *place, const char *uuid, struct energy_calibration *ret, GError **error)
{
    g_autofree char *name = NULL;
    struct energy_calibration found = {.u_offset_w = NAN, .range_low_w = NAN, .range_high_w = NAN};
    if (strchr(uuid, '/') || uuid[0] == '.' || uuid[0] == '\0')
        return false; /* a name of a device that cannot be a file name has no file */
    name = g_strconcat(uuid, ".json", NULL);
    g_autofree char *path =
        g_file_test(place, G_FILE_TEST_IS_DIR) ? g_build_filename(place, name, NULL) : g_strdup(place);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return false;
    g_autoptr(json_t) tree = jsonx_load(path, LIMIT_CONFIG_BYTES, error);
    if (!tree)
        return false;
    if (!members_read(tree, &found, rows, G_N_ELEMENTS(rows), error) || !check(&found, uuid, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    *ret = found;
    return true;
}

json_t *energy_calibration_json(const struct energy_calibration *c)
{
    json_t *tree = json_object();
    members_write(tree, c, rows, G_N_ELEMENTS(rows));
    return tree;
}
