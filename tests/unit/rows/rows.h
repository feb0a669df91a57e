/* SPDX-License-Identifier: MIT */
/* One row more of each table, as it would stand in its header. */
#pragma once

#define RESULT_MORE_METRICS(X)   X(MORE, "more_j", "energy", "J", "a figure of the tests")
#define RESULT_MORE_PARTS(ROW)   ROW(MORE, "more.text", TEXT, REQUIRED, "a part of the tests")
#define EXCHANGE_MORE_MEMBERS(X) X(STRING, more, "context.more", EXCHANGE_PATH, "the tests", "a path of the tests")
#define STORE_MORE_STATES(X)     X(MORE, "more", "a state of the tests")
#define FRAME_MORE_KEYS(X)       X(MORE, "more", "more.text", REFUSE, "the texts of the tests", "another text")
