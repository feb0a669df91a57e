/* SPDX-License-Identifier: MIT */
/* JSON Schemas (draft 2020-12), built piece by piece from the rows of other rooms. Every function returns a new
 * reference; trees handed in are taken over. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* {"type": type}, or {"type": [type, "null"]}. */
json_t *schema_typed(const char *type, bool or_null);
/* {"$ref": "#/$defs/NAME"}. */
json_t *schema_reference(const char *def);
/* Either of two. */
json_t *schema_any_of(json_t *a, json_t *b);
/* A list of at least min items, at most max (0: unbounded). */
json_t *schema_list_of(json_t *items, int min, int max);
/* An object that takes nothing but what is added to it. */
json_t *schema_object(void);
/* Adds a property to a schema_object(). */
void schema_add(json_t *object, const char *name, json_t *property, bool required);
/* The schema_object() at a name below another, made when it is not there; required once anybody says so. Borrowed. */
json_t *schema_below(json_t *object, const char *name, bool required);
/* A schema_object() that is a whole document. */
json_t *schema_document(const char *title);
