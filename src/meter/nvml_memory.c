/* SPDX-License-Identifier: MIT */
/* The memory of NVIDIA boards, and the processes that hold it. */
#include "meter/nvml.h"

#include <stdio.h>
#include <string.h>

#define PID_LIMIT 4194304 /* the kernel's own maximum (PID_MAX_LIMIT) */

/* The newer call. NVIDIA's texts differ on whether its `used` has the reserved part in it: the sum tells, since what is
 * there is reserved, used or free. */
static nvml_return read_v2(const struct nvml_api *api, nvml_device device, struct nvml_memory_v2 *ret)
{
    *ret = (struct nvml_memory_v2){.version = NVML_MEMORY_V2};
    nvml_return code = api->memory_v2 ? api->memory_v2(device, ret) : NVML_FUNCTION_NOT_FOUND;
    if (code == NVML_OK && ret->used >= ret->reserved && ret->used + ret->free >= ret->total)
        ret->used -= ret->reserved;
    return code;
}

static nvml_return read_v1(const struct nvml_api *api, nvml_device device, struct nvml_memory *ret)
{
    *ret = (struct nvml_memory){0};
    return api->memory ? api->memory(device, ret) : NVML_FUNCTION_NOT_FOUND;
}

static nvml_return read_memory(const struct nvml_api *api, nvml_device device, struct meter_gpu_memory *ret)
{
    struct nvml_memory_v2 m;
    nvml_return code = read_v2(api, device, &m);
    if (code == NVML_OK) {
        ret->total_bytes = (int64_t)m.total;
        ret->used_bytes = (int64_t)m.used;
        ret->free_bytes = (int64_t)m.free;
        ret->reserved_bytes = (int64_t)m.reserved;
    } else if (api->memory) {
        struct nvml_memory old;
        code = read_v1(api, device, &old);
        ret->total_bytes = (int64_t)old.total;
        ret->used_bytes = (int64_t)old.used;
        ret->free_bytes = (int64_t)old.free;
        ret->reserved_bytes = -1;
    }
    return code;
}

nvml_return nvml_memory_total(const struct nvml_api *api, nvml_device device, int64_t *ret)
{
    struct meter_gpu_memory memory;
    nvml_return code = read_memory(api, device, &memory);
    *ret = code == NVML_OK ? memory.total_bytes : 0;
    return code;
}

nvml_return nvml_memory_used(const struct nvml_api *api, nvml_device device, int64_t *ret)
{
    struct meter_gpu_memory memory;
    nvml_return code = read_memory(api, device, &memory);
    *ret = code == NVML_OK ? memory.used_bytes : 0;
    return code;
}

/* --- processes -------------------------------------------------------------------------------------------------------------- */

#define LIST_BYTES ((METER_GPU_PIDS_MAX + 1) * sizeof(struct nvml_process_32))
union process_list { /* aligned for the driver; roomy enough for entries of 32 bytes */
    struct nvml_process entries[LIST_BYTES / sizeof(struct nvml_process)];
    unsigned char bytes[LIST_BYTES];
};

typedef nvml_return (*list_getter)(nvml_device device, unsigned *count, struct nvml_process *infos);

static nvml_return read_list(list_getter getter, nvml_device device, union process_list *list, unsigned *count)
{
    *count = 0;
    if (!getter)
        return NVML_FUNCTION_NOT_FOUND;
    memset(list, 0, sizeof *list);
    *count = METER_GPU_PIDS_MAX;
    return getter(device, count, list->entries);
}

/* True if the entries make sense at a stride: pids that can be, memory a board can have. */
static bool plausible_at(const union process_list *list, unsigned count, size_t stride)
{
    for (unsigned i = 0; i < count; i++) {
        struct nvml_process p;
        memcpy(&p, list->bytes + i * stride, sizeof p);
        if (p.pid == 0 || p.pid > PID_LIMIT || (p.used_memory != NVML_NOT_AVAILABLE && p.used_memory >> 44))
            return false; /* more than 16 TiB is not memory of one board */
    }
    for (size_t i = count * stride; i < sizeof list->bytes; i++)
        if (list->bytes[i])
            return false; /* the driver wrote further than such entries reach */
    return true;
}

/* Drivers of the early 535 series return 32-byte entries under the name of the 24-byte ones. 0: neither makes sense. */
static size_t stride_of(const union process_list *list, unsigned count)
{
    if (plausible_at(list, count, sizeof(struct nvml_process)))
        return sizeof(struct nvml_process);
    if (plausible_at(list, count, sizeof(struct nvml_process_32)))
        return sizeof(struct nvml_process_32);
    return 0;
}

nvml_return nvml_process_count(const struct nvml_api *api, nvml_device device, int64_t *ret)
{
    union process_list list;
    unsigned count = 0;
    nvml_return code = read_list(api->processes, device, &list, &count);
    *ret = count;
    return code == NVML_INSUFFICIENT_SIZE ? NVML_OK : code; /* the count is right even where the list is short */
}

static const char *list_reason(const struct nvml_api *api, nvml_return code)
{
    return code == NVML_INSUFFICIENT_SIZE ? "more processes than the list holds"
           : code != NVML_OK              ? nvml_api_error(api, code)
                                          : "the driver's process list has an unknown layout";
}

static void fill_pids(const struct nvml_api *api, nvml_device device, struct meter_gpu_memory *ret)
{
    union process_list list;
    unsigned count = 0;
    nvml_return code = read_list(api->processes, device, &list, &count);
    size_t stride = code == NVML_OK ? stride_of(&list, count) : 0;
    if (code != NVML_OK || !stride) {
        snprintf(ret->pids_reason, sizeof ret->pids_reason, "%s", list_reason(api, code));
        return;
    }
    ret->pids_known = true;
    ret->pid_count = MIN(count, METER_GPU_PIDS_MAX);
    for (size_t i = 0; i < ret->pid_count; i++) {
        struct nvml_process p;
        memcpy(&p, list.bytes + i * stride, sizeof p);
        ret->pids[i] = (pid_t)p.pid;
        ret->pid_bytes[i] = p.used_memory == NVML_NOT_AVAILABLE ? -1 : (int64_t)p.used_memory;
    }
}

const struct nvml_board *nvml_board_of(const struct nvml *nvml, const char *uuid)
{
    for (unsigned d = 0; d < nvml->board_count; d++)
        if (!strcmp(nvml->boards[d].uuid, uuid))
            return &nvml->boards[d];
    return NULL;
}

static const struct nvml_board *board_or_error(const struct nvml *nvml, const char *uuid, GError **error)
{
    const struct nvml_board *board = nvml_board_of(nvml, uuid);
    if (!board)
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER, "no GPU %s here; 'llem meter list' names the ones there are",
                    uuid);
    return board;
}

bool nvml_memory_of(struct meter_source *source, const char *uuid, struct meter_gpu_memory *ret, GError **error)
{
    const struct nvml *nvml = (struct nvml *)source;
    const struct nvml_board *board = board_or_error(nvml, uuid, error);
    if (!board)
        return false;
    memset(ret, 0, sizeof *ret);
    nvml_return code = read_memory(&nvml->api, board->device, ret);
    fill_pids(&nvml->api, board->device, ret);
    if (code == NVML_OK)
        return true;
    ret->total_bytes = ret->used_bytes = ret->free_bytes = ret->reserved_bytes = -1;
    if (ret->pids_known) /* memory that is shared with the CPU has no figures, and processes all the same */
        return true;
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER, "the memory of GPU %s cannot be read: %s", uuid,
                nvml_api_error(&nvml->api, code));
    return false;
}

/* --- who holds memory: all that is known ------------------------------------------------------------------------------------ */

static void read_both(const struct nvml_api *api, nvml_device device, struct meter_gpu_use *ret)
{
    struct nvml_memory_v2 m;
    struct nvml_memory old;
    nvml_return partition = read_v2(api, device, &m), whole = read_v1(api, device, &old);
    ret->reserved_bytes = ret->partition_bytes = ret->whole_bytes = ret->total_bytes = -1;
    if (partition == NVML_OK) {
        ret->total_bytes = (int64_t)m.total;
        ret->reserved_bytes = (int64_t)m.reserved;
        ret->partition_bytes = (int64_t)m.used;
    } else {
        snprintf(ret->partition_reason, sizeof ret->partition_reason, "%s", nvml_api_error(api, partition));
    }
    if (whole == NVML_OK) {
        ret->total_bytes = (int64_t)old.total;
        ret->whole_bytes = (int64_t)old.used;
    } else {
        snprintf(ret->whole_reason, sizeof ret->whole_reason, "%s", nvml_api_error(api, whole));
    }
}

/* One process may stand in several lists. */
static void add_holder(struct meter_gpu_use *ret, const struct nvml_process *p)
{
    int64_t bytes = p->used_memory == NVML_NOT_AVAILABLE ? -1 : (int64_t)p->used_memory;
    for (size_t i = 0; i < ret->holder_count; i++) {
        if (ret->holders[i].pid != (pid_t)p->pid)
            continue;
        ret->holders[i].bytes = MAX(ret->holders[i].bytes, bytes);
        return;
    }
    if (ret->holder_count < METER_GPU_PIDS_MAX)
        ret->holders[ret->holder_count++] = (struct meter_gpu_holder){(pid_t)p->pid, bytes};
}

static bool add_list(const struct nvml_api *api, nvml_device device, list_getter getter, struct meter_gpu_use *ret)
{
    union process_list list;
    unsigned count = 0;
    nvml_return code = read_list(getter, device, &list, &count);
    size_t stride = code == NVML_OK ? stride_of(&list, count) : 0;
    for (size_t i = 0; stride && i < MIN(count, METER_GPU_PIDS_MAX); i++) {
        struct nvml_process p;
        memcpy(&p, list.bytes + i * stride, sizeof p);
        add_holder(ret, &p);
    }
    if (!stride && !*ret->holders_reason)
        snprintf(ret->holders_reason, sizeof ret->holders_reason, "%s", list_reason(api, code));
    return stride > 0;
}

/* A list that this driver or board has not is no gap: nothing can be in it. */
static bool add_other_list(const struct nvml_api *api, nvml_device device, list_getter getter,
                           struct meter_gpu_use *ret)
{
    union process_list list;
    unsigned count;
    nvml_return code = read_list(getter, device, &list, &count);
    return code == NVML_NOT_SUPPORTED || code == NVML_FUNCTION_NOT_FOUND || add_list(api, device, getter, ret);
}

bool nvml_use_of(struct meter_source *source, const char *uuid, struct meter_gpu_use *ret, GError **error)
{
    const struct nvml *nvml = (struct nvml *)source;
    const struct nvml_api *api = &nvml->api;
    const struct nvml_board *board = board_or_error(nvml, uuid, error);
    if (!board)
        return false;
    memset(ret, 0, sizeof *ret);
    read_both(api, board->device, ret);
    bool compute = add_list(api, board->device, api->processes, ret);
    bool graphics = add_other_list(api, board->device, api->graphics, ret);
    bool mps = add_other_list(api, board->device, api->mps, ret);
    ret->holders_known = compute && graphics && mps;
    return true;
}
