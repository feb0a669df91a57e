/* SPDX-License-Identifier: MIT */
/* Text of others (names, paths, what files and engines say) on a terminal: whatever would move the cursor, change
 * colours, turn the direction of the line or take no room is shown as an escape and not carried out. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* True for what nobody sees, or what a terminal obeys: C0 but line feed and tab, DEL, C1, separators of lines, marks of
 * direction, characters of no width (Unicode's Cf of general use, and tags). Letters of every script are seen. */
bool visible_hides(gunichar c);

/* The text with each of these as JSON writes it (\u001b, \u202e, a pair beyond U+FFFF), and bytes that are no UTF-8 as
 * \x9b. A JSON text stays the same document; visible text stays as it is, so that twice is once. New string. */
char *visible_text(const char *text);

/* The first character of a text that nobody sees, no-break spaces among them, or 0; *ret_before: how many stand before
 * it. For what must be typed, as keys must. */
gunichar visible_stranger(const char *text, long *ret_before);
