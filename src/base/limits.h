/* SPDX-License-Identifier: MIT */
/* Every bound on input from outside, by name. Going over one is LLEM_ERROR_LIMIT, with the name's meaning in words. */
#pragma once

#define LIMIT_CONFIG_BYTES     (4 << 20)  /* a YAML or JSON file written by a user */
#define LIMIT_RESULT_BYTES     (64 << 20) /* a result.json read back */
#define LIMIT_DOC_DEPTH        64         /* nesting of a YAML or JSON document */
#define LIMIT_DOC_NODES        500000     /* nodes of a YAML document after aliases are expanded */
#define LIMIT_DIAGNOSTICS      50         /* errors shown of one file */
#define LIMIT_BACKEND_ROWS     2000       /* rows of one list of an engine.json; engines in one folder */
#define LIMIT_BACKEND_NAME     32         /* bytes of an engine's name */
#define LIMIT_BACKEND_OPTION   128        /* bytes of an option's name, sections included */
#define LIMIT_SCHEMA_BYTES     (8 << 20)  /* what an engine said that it takes, as it is kept */
#define LIMIT_EXCHANGE_BYTES   (1 << 30)  /* of what a worker is told: a whole data set, escaped */
#define LIMIT_CELLS_BYTES      (512 << 20) /* cells.jsonl of a study */
#define LIMIT_JOURNAL_LINE     (4 << 20)  /* bytes of a line of a study's journal */
#define LIMIT_SWEEP_CELLS      100000     /* cells of one study */
#define LIMIT_DATASET_BYTES    (256 << 20)
#define LIMIT_PROMPTS          100000
#define LIMIT_PROMPT_TOKENS    (1 << 20)
#define LIMIT_CONTEXT          (1 << 24)  /* positions of all sequences of an engine together */
#define LIMIT_PROTOCOL_LINE    (64 << 20) /* one line of the engine protocol, bytes without the newline */
#define LIMIT_ENGINE_LOG_BYTES (8 << 20)  /* kept of an engine's stdout and stderr: head and tail */
#define LIMIT_ERROR_LOG_LINES  20         /* last lines of a log quoted in an error record */
#define LIMIT_GGUF_HEADER      (512 << 20) /* what stands before the weights of a GGUF file */
#define LIMIT_GGUF_PAIRS       65536       /* metadata pairs */
#define LIMIT_GGUF_TENSORS     (1 << 20)
#define LIMIT_GGUF_KEY         65535      /* bytes of a metadata key */
#define LIMIT_GGUF_STRING      (64 << 20) /* bytes of a metadata string (chat templates, vocabularies) */
#define LIMIT_GGUF_LAYERS      4096       /* elements of a per-layer array that is looked at */
#define LIMIT_SAFETENSORS_HEAD (128 << 20) /* the JSON head of a safetensors file */
#define LIMIT_TRACE_ROWS       200000000  /* rows of a recorded trace */
#define LIMIT_TRACE_LINE       8192       /* bytes of one of its rows */
#define LIMIT_TRACE_CHANNELS   4096
