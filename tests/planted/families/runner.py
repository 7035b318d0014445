"""The program that traces, and whoever runs it: a run that shows less than it says, or something else."""

from tests.planted.faults import Change, Fault, InC, in_c

TRACE, LINE = "runtime/trace/trace.c", "runtime/trace/trace_line.c"
SHOWN = "if (to->mode != MODE_DUMP || point == to->wanted_point) {"
ORDER = (
    "        to_machine_order((uint8_t *)subject->input_buffers[i], count, byte_flip(port->dtype));"
)
FIRST = """        static uint8_t first[1 << 16];
        static int kept;
        if (!kept) {
            kept = 1;
            memcpy(first, subject->input_buffers[i], count);
        }
        memcpy(subject->input_buffers[i], first, count);"""
KERNEL = "    for (int32_t g = 0; g < conv->groups; ++g) {"
OBSERVED = "    if (run->observer != NULL && layer->observed) {"
DISTURBED = f"""    if (run->observer == NULL && layer->num_outputs > 0) {{
        ((uint8_t *)writable(run, &run->network->tensors[layer->outputs[0]]))[0] ^= 1u;
    }}
{OBSERVED}"""

FAULTS = (
    in_c(
        "runner/no-output",
        "it ends well and has run nothing",
        "coarse ",
        TRACE,
        "run_cases(to, &count)",
        "0",
        fault="malformed",
    ),
    in_c(
        "runner/no-end",
        "it ends well in the middle",
        "coarse ",
        TRACE,
        '    ares_io_print("end ");',
        '    return TRACE_OK;\n    ares_io_print("end ");',
        fault="truncated",
    ),
    Fault(
        "runner/256-errors",
        "the exit code counts errors: 256 of them are 0",
        "coarse",
        "",
        InC(
            (
                Change("runtime/src/conv2d.c", KERNEL, f"    return ARES_ERROR_INPUT;\n{KERNEL}"),
                Change(TRACE, "return complain(TRACE_KERNEL,", "return 0 * complain(TRACE_KERNEL,"),
            )
        ),
        fault="malformed",
    ),
    Fault(
        "runner/refused",
        "a kernel refuses its sizes",
        "coarse",
        "conv",
        InC((Change("runtime/src/conv2d.c", KERNEL, f"    return ARES_ERROR_INPUT;\n{KERNEL}"),)),
        fault="crash",
    ),
    Fault(
        "runner/crash",
        "a kernel reads where no memory is",
        "coarse",
        "conv",
        InC(
            (
                Change(
                    "runtime/src/conv2d.c",
                    KERNEL,
                    f"    if (*(const volatile uint8_t *)(uintptr_t)8) {{\n        return ARES_OK;\n    }}\n{KERNEL}",
                ),
            )
        ),
        fault="crash",
    ),
    in_c(
        "runner/fewer-cases",
        "the number of cases is that of the first",
        "coarse ",
        TRACE,
        "++*count;",
        "*count = 1;",
        fault="malformed",
    ),
    in_c(
        "runner/probe",
        "floating point is not what it should be",
        "coarse ",
        TRACE,
        "ares_float_probe();",
        "ares_float_probe() + 1;",
        fault="probe",
    ),
    in_c(
        "runner/signature",
        "the program is of another project",
        "coarse ",
        TRACE,
        "ares_io_print(subject->signature);",
        "ares_io_print(subject->signature + 1);",
        fault="signature",
    ),
    in_c(
        "runner/byte-order",
        "the byte order is that of another machine",
        "coarse ",
        TRACE,
        'is_big_endian() ? "byte order big',
        '!is_big_endian() ? "byte order big',
        fault="byte order",
    ),
    in_c(
        "runner/instruction-set",
        "other kernels run than the target's",
        "coarse ",
        TRACE,
        "ares_io_print(ares_instruction_set());",
        'ares_io_print("avx2");',
        fault="instruction set",
    ),
    in_c(
        "runner/case-0-for-all",
        "every case is given the first one's input",
        "probe quant_in",
        TRACE,
        ORDER,
        FIRST,
    ),
    in_c(
        "trace/digest-of-a-half",
        "a digest is that of the first half",
        "probe ",
        TRACE,
        "to->line.digest = digest_of((const uint8_t *)data, count, flip);",
        "to->line.digest = digest_of((const uint8_t *)data, count / 2, flip);",
        fault="digest",
    ),
    in_c(
        "trace/last-byte",
        "the last byte of a tensor is not written",
        "probe ",
        TRACE,
        "write_bytes(to, (const uint8_t *)data, count, flip);",
        "write_bytes(to, (const uint8_t *)data, count - 1, flip);",
        fault="truncated",
    ),
    in_c(
        "trace/byte-order",
        "floats are shown with their bytes turned round",
        "probe fc",
        TRACE,
        "    const size_t flip = byte_flip(dtype);\n\n    ares_watch_read",
        "    const size_t flip = ares_element_size(dtype) - 1;\n\n    ares_watch_read",
        fault="byte order",
    ),
    in_c(
        "trace/layer-left-out",
        "a layer is not shown",
        "probe ",
        TRACE,
        SHOWN,
        "if (to->mode != MODE_DUMP ? point != 2 : point == to->wanted_point) {",
        fault="malformed",
    ),
    in_c(
        "trace/twice",
        "a layer is shown twice, the next not",
        "probe ",
        TRACE,
        "        to->line.index = layer_index;",
        "        to->line.index = layer_index == 3 ? 2 : layer_index;",
        fault="malformed",
    ),
    in_c(
        "trace/short-digest",
        "a digest has fifteen digits",
        "probe ",
        LINE,
        "digits[16] = '\\0';",
        "digits[15] = '\\0';",
        fault="malformed",
    ),
    in_c(
        "trace/outputs-of-a-case-before",
        "the output shown is the buffer's first half twice",
        "probe fc",
        TRACE,
        "show(to, subject->output_buffers[i], subject->outputs[i].elements,",
        "memmove((uint8_t *)subject->output_buffers[i] + 4, subject->output_buffers[i], 4);\n"
        "        show(to, subject->output_buffers[i], subject->outputs[i].elements,",
    ),
    in_c(
        "trace/observer",
        "what is computed depends on whether somebody looks",
        "probe ",
        "executor.c",
        OBSERVED,
        DISTURBED,
        fault="observer",
    ),
)
