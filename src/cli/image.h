/* SPDX-License-Identifier: MIT */
/* Internal to cli: images of engines, as this machine has them. */
#pragma once

#include "backend/backend.h"

/* The newest CUDA of the driver, as NVML has it: 13000 is 13.0; 0: there is none. */
int cli_host_cuda(void);
/* The ID of the image where a configuration has an engine run: member image_id of struct config_file_options. */
char *cli_image_id(const struct backend *backend, const char *runner, const char *client);
