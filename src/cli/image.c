/* SPDX-License-Identifier: MIT */
#include "cli/image.h"

#include "dispatch/dispatch.h"
#include "meter/meter.h"

int cli_host_cuda(void)
{
    g_autoptr(owned_meter) meter = meter_open(&(struct meter_options){0}, NULL);
    g_autoptr(json_t) facts = meter ? meter_gpu_facts(meter) : NULL;
    const char *text = json_string_value(json_object_get(facts, "cuda_version"));
    g_auto(GStrv) parts = text ? g_strsplit(text, ".", 2) : NULL;
    int64_t major = 0, minor = 0;
    bool known = parts && num_parse_int(parts[0], 1, 1000, &major, NULL) &&
                 (!parts[1] || num_parse_int(parts[1], 0, 99, &minor, NULL));
    return known ? (int)(major * 1000 + minor * 10) : 0;
}

char *cli_image_id(const struct backend *backend, const char *runner, const char *client)
{
    return dispatch_image_id(backend, runner, client, cli_host_cuda);
}
