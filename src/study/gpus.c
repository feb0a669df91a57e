/* SPDX-License-Identifier: MIT */
#include "study/gpus.h"

bool gpus_choose(struct boards *boards, const struct config *config, struct exchange *x, GError **error)
{
    g_auto(owned_boards_wish) wish = {0};
    g_auto(owned_boards_choice) choice = {0};
    boards_wish_of(config, &wish);
    if (!boards_choose(boards, &wish, &choice, error))
        return false;
    if (!choice.uuids)
        return true;
    x->boards = g_steal_pointer(&choice.uuids);
    x->boards_source =
        choice.doubt ? g_strdup_printf("%s (%s)", choice.source, choice.doubt) : g_strdup(choice.source);
    return true;
}

/* A run that is to work on a board which nobody here can see. */
static void note_unseen(struct boards *boards, const struct config *config, struct exchange *x)
{
    if (!x->boards && config_gpu_need(config) == CONFIG_GPU_NEEDS)
        x->memory_gate = json_pack("{s:s, s:s, s:[]}", "verdict", boards_verdict_name(BOARDS_UNKNOWN), "reason",
                                   boards_absent(boards), "boards");
}

enum gpus_passage gpus_pass_gate(struct boards *boards, const struct config *config, struct exchange *x,
                                 const struct boards_watch *watch, char **ret_warning, GError **error)
{
    *ret_warning = NULL;
    if (!x->boards || !x->boards[0]) {
        note_unseen(boards, config, x);
        return GPUS_PASSES;
    }
    const struct boards_gate gate = boards_gate_of(config);
    g_auto(owned_boards_report) report = {0};
    boards_gate_wait(boards, x->boards, &gate, watch, &report);
    if (report.interrupted)
        return GPUS_INTERRUPTED;
    x->memory_gate = g_steal_pointer(&report.record);
    if (report.verdict == BOARDS_FREE)
        return GPUS_PASSES;
    if (!gate.refuses) {
        *ret_warning = g_steal_pointer(&report.text);
        return GPUS_PASSES;
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER,
                "%s: end what holds it and run again, or write memory_gate: {action: warn} to run all the same",
                report.text);
    return GPUS_REFUSED;
}
