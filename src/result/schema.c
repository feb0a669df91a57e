/* SPDX-License-Identifier: MIT */
/* The JSON Schemas of what this room writes, made from the rows of result.h. */
#include "result/parts.h"

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *quantity_schema(void)
{
    json_t *statuses = json_array();
    for (int i = 0; i < QUANTITY_STATUS_COUNT; i++)
        json_array_append_new(statuses, json_string(quantity_status_name(i)));
    json_t *absent = json_pack("{s:{s:{s:s}}, s:[s]}", "properties", "status", "const", "absent", "required", "status");
    json_t *then = json_pack("{s:{s:{s:s}}, s:[s]}", "properties", "value", "type", "null", "required", "reason");
    json_t *otherwise = json_pack("{s:{s:{s:s}}}", "properties", "value", "type", "number");
    json_t *properties = json_pack("{s:{s:o}, s:{s:[s,s]}, s:o, s:o, s:o, s:o, s:o, s:o}", "status", "enum", statuses,
                                   "value", "type", "number", "null", "low", typed("number"), "high",
                                   typed("number"), "reason", typed("string"), "method", typed("string"), "sensor",
                                   typed("string"), "unit", typed("string"));
    return json_pack("{s:s, s:o, s:[s,s], s:b, s:o, s:o, s:o}", "type", "object", "properties", properties, "required",
                     "status", "value", "additionalProperties", 0, "if", absent, "then", then, "else", otherwise);
}

static json_t *metrics_schema(void)
{
    json_t *properties = json_object(), *required = json_array();
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct result_metric_row *row = result_metric_row(i);
        g_autofree char *text = g_strdup_printf("%s (%s)", row->help, row->unit);
        json_object_set_new(properties, row->id,
                            json_pack("{s:s, s:s}", "$ref", "#/$defs/quantity", "description", text));
        json_array_append_new(required, json_string(row->id));
    }
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties, "required", required,
                     "additionalProperties", 0);
}

static json_t *identity_schema(void)
{
    return json_pack("{s:s, s:{s:{s:s, s:s}, s:{s:s, s:i}, s:o}, s:[s,s]}", "type", "object", "properties",
                     "config_hash", "type", "string", "pattern", "^[0-9a-f]{16}$", "cycle", "type", "integer",
                     "minimum", 1, "study", typed("string"), "required", "config_hash", "cycle");
}

static json_t *program_schema(void)
{
    return json_pack("{s:s, s:{s:o, s:o}, s:[s,s]}", "type", "object", "properties", "version", typed("string"),
                     "revision", typed("string"), "required", "version", "revision");
}

static json_t *strings_schema(void)
{
    return json_pack("{s:s, s:o}", "type", "array", "items", typed("string"));
}

static json_t *document(const char *title, json_t *properties, json_t *required)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:{s:o}}", "$schema",
                     "https://json-schema.org/draft/2020-12/schema", "title", title, "type", "object", "properties",
                     properties, "required", required, "additionalProperties", 0, "$defs", "quantity",
                     quantity_schema());
}

json_t *result_schema(void)
{
    json_t *properties = json_object();
    static const char *const copied[] = {"config", "origins", "context"}; /* from the exchange file, with its own schema */
    json_object_set_new(properties, "schema", json_pack("{s:s}", "const", RESULT_SCHEMA));
    json_object_set_new(properties, "llem", program_schema());
    json_object_set_new(properties, "identity", identity_schema());
    for (size_t i = 0; i < G_N_ELEMENTS(copied); i++)
        json_object_set_new(properties, copied[i], typed("object"));
    json_object_set_new(properties, "flags", strings_schema());
    json_object_set_new(properties, "flag_meanings",
                        json_pack("{s:s, s:o}", "type", "object", "additionalProperties", typed("string")));
    json_object_set_new(properties, "warnings", strings_schema());
    json_object_set_new(properties, "metrics", metrics_schema());
    json_object_set_new(properties, "simulated", typed("boolean"));
    json_t *required = json_pack("[s,s,s,s,s,s,s,s,s,s]", "schema", "llem", "identity", "config", "origins", "context",
                                 "flags", "flag_meanings", "metrics", "warnings");
    json_array_append_new(required, json_string("simulated"));
    json_t *root = document("llem result of one run", properties, required);
    result_parts_schema(root, json_object_get(root, "$defs"));
    return root;
}

json_t *result_error_schema(void)
{
    json_t *classes = json_array();
    for (int i = 0; i < LLEM_ERROR_COUNT; i++)
        json_array_append_new(classes, json_string(llem_error_name(i)));
    json_array_append_new(classes, json_string(llem_error_name(-1)));
    json_t *properties = json_object();
    json_object_set_new(properties, "schema", json_pack("{s:s}", "const", RESULT_ERROR_SCHEMA));
    json_object_set_new(properties, "llem", program_schema());
    json_object_set_new(properties, "identity", identity_schema());
    json_object_set_new(properties, "class", json_pack("{s:o}", "enum", classes));
    json_object_set_new(properties, "message", typed("string"));
    json_object_set_new(properties, "phase", typed("string"));
    json_object_set_new(properties, "engine_error", typed("object"));
    json_object_set_new(properties, "log_tail", strings_schema());
    json_object_set_new(properties, "config", typed("object"));
    json_object_set_new(properties, "context", typed("object"));
    json_t *required =
        json_pack("[s,s,s,s,s,s,s]", "schema", "llem", "identity", "class", "message", "phase", "log_tail");
    return document("llem error record of one run", properties, required);
}
