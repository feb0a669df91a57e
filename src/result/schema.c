/* SPDX-License-Identifier: MIT */
/* The JSON Schemas of what this room writes, made from the rows of result.h. */
#include "result/parts.h"

static json_t *quantity_schema(void)
{
    json_t *statuses = json_array();
    for (int i = 0; i < QUANTITY_STATUS_COUNT; i++)
        json_array_append_new(statuses, json_string(quantity_status_name(i)));
    json_t *absent =
        json_pack("{s:{s:{s:s}}, s:[s]}", "properties", "status", "const", "absent", "required", "status");
    json_t *then = json_pack("{s:{s:{s:s}}, s:[s]}", "properties", "value", "type", "null", "required", "reason");
    json_t *otherwise = json_pack("{s:{s:{s:s}}}", "properties", "value", "type", "number");
    static const char *const numbers[] = {"low", "high"}, *const texts[] = {"reason", "method", "sensor", "unit"};
    json_t *quantity = schema_object();
    schema_add(quantity, "status", json_pack("{s:o}", "enum", statuses), true);
    schema_add(quantity, "value", schema_typed("number", true), true);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        schema_add(quantity, numbers[i], schema_typed("number", false), false);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        schema_add(quantity, texts[i], schema_typed("string", false), false);
    json_object_set_new(quantity, "if", absent);
    json_object_set_new(quantity, "then", then);
    json_object_set_new(quantity, "else", otherwise);
    return quantity;
}

json_t *result_metric_schema(enum result_metric metric)
{
    const struct result_metric_row *row = result_metric_row(metric);
    g_autofree char *text = g_strdup_printf("%s (%s)", row->help, row->unit);
    json_t *figure = schema_reference("quantity");
    json_object_set_new(figure, "description", json_string(text));
    return figure;
}

static json_t *metrics_schema(void)
{
    json_t *metrics = schema_object();
    for (int i = 0; i < METRIC_COUNT; i++)
        schema_add(metrics, result_metric_row(i)->id, result_metric_schema(i), true);
    return metrics;
}

static json_t *identity_schema(void)
{
    return json_pack("{s:s, s:{s:{s:s, s:s}, s:{s:s, s:i}, s:o}, s:[s,s]}", "type", "object", "properties",
                     "config_hash", "type", "string", "pattern", "^[0-9a-f]{16}$", "cycle", "type", "integer",
                     "minimum", 1, "study", schema_typed("string", false), "required", "config_hash", "cycle");
}

static json_t *program_schema(void)
{
    return json_pack("{s:s, s:{s:o, s:o}, s:[s,s]}", "type", "object", "properties", "version",
                     schema_typed("string", false), "revision", schema_typed("string", false), "required", "version",
                     "revision");
}

static json_t *strings_schema(void)
{
    return schema_list_of(schema_typed("string", false), 0, 0);
}

json_t *result_document_schema(const char *title, const char *schema)
{
    json_t *root = schema_document(title);
    json_object_set_new(root, "$defs", json_pack("{s:o}", "quantity", quantity_schema()));
    schema_add(root, "schema", json_pack("{s:s}", "const", schema), true);
    schema_add(root, "llem", program_schema(), true);
    schema_add(root, "identity", identity_schema(), true);
    return root;
}

void result_doubts_schema(json_t *root)
{
    schema_add(root, "flags", strings_schema(), true);
    schema_add(root, "flag_meanings",
               json_pack("{s:s, s:o}", "type", "object", "additionalProperties", schema_typed("string", false)),
               true);
    schema_add(root, "warnings", strings_schema(), true);
}

json_t *result_schema(void)
{
    static const char *const copied[] = {"config", "origins", "context"}; /* from the exchange file: its own schema */
    json_t *root = result_document_schema("llem result of one run", RESULT_SCHEMA);
    for (size_t i = 0; i < G_N_ELEMENTS(copied); i++)
        schema_add(root, copied[i], schema_typed("object", false), true);
    result_doubts_schema(root);
    schema_add(root, "metrics", metrics_schema(), true);
    schema_add(root, "simulated", schema_typed("boolean", false), true);
    result_parts_schema(root, json_object_get(root, "$defs"), result_parts_all);
    return root;
}

json_t *result_error_schema(void)
{
    json_t *classes = json_array();
    for (int i = 0; i < LLEM_ERROR_COUNT; i++)
        json_array_append_new(classes, json_string(llem_error_name(i)));
    json_array_append_new(classes, json_string(llem_error_name(-1)));
    json_t *root = result_document_schema("llem error record of one run", RESULT_ERROR_SCHEMA);
    schema_add(root, "class", json_pack("{s:o}", "enum", classes), true);
    schema_add(root, "message", schema_typed("string", false), true);
    schema_add(root, "phase", schema_typed("string", false), true);
    schema_add(root, "log_tail", strings_schema(), true);
    schema_add(root, "engine_error", schema_typed("object", false), false);
    schema_add(root, "config", schema_typed("object", false), false);
    schema_add(root, "context", schema_typed("object", false), false);
    return root;
}
