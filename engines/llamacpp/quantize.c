/* SPDX-License-Identifier: MIT */
#include "llamacpp/llamacpp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* libllama leaves a part of a file behind when it fails: work under another name. */
int quantize_main(const char *source, const char *target, const char *form)
{
    int file_type = name_value(names_file_type, form, -1);
    const char *mismatch = library_mismatch();
    if (file_type < 0 || *mismatch) {
        g_autofree char *known = name_list(names_file_type);
        fprintf(stderr, "llem-engine-llamacpp: %s%s%s\n",
                *mismatch ? mismatch : "unknown form: expected one of ", *mismatch ? "" : known,
                "");
        return 2;
    }
    g_autofree char *partial = g_strdup_printf("%s.partial", target);
    struct llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = (enum llama_ftype)file_type;
    params.nthread = (int32_t)g_get_num_processors();
    params.allow_requantize = true; /* the forms serve size and energy, not quality */
    llama_backend_init();
    uint32_t rc = llama_model_quantize(source, partial, &params);
    if (rc == 0 && rename(partial, target) == 0)
        return 0;
    fprintf(stderr, "llem-engine-llamacpp: cannot make %s of %s: %s\n", target, source,
            rc ? "libllama refused (see above)" : g_strerror(errno));
    unlink(partial);
    return 1;
}
