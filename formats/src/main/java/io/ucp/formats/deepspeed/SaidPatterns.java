package io.ucp.formats.deepspeed;

import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/// What one rank's `universal_checkpoint_info` says of the layout.
///
/// A scalar at the cut dimension of a sub-param shape (versions before 0.4) is a number of equal
/// parts: its extents are that many -1. A -1 elsewhere is the placeholder of the file.
///
/// Source: DeepSpeed `checkpoint/constants.py`, `checkpoint/ds_to_universal.py`.
///
/// @param number of the version, 0 where there is none that can be read
/// @param patterns in the order of precedence of upstream's merge; empty for a version that is too
///   new
record SaidPatterns(double number, List<Pattern> patterns, OptionalLong vocabularyRows) {
    private static final double NEWEST = 0.4;

    static SaidPatterns of(CheckpointFile file, PyDict said) throws IOException {
        double number = version(said).orElse(0.0);
        return new SaidPatterns(
                number,
                isNewer(said) ? List.of() : patterns(file, said, number),
                number(said.find("original_vocab_size")));
    }

    static Optional<Double> version(PyDict said) {
        return said.find("universal_checkpoint_version").flatMap(SaidPatterns::version);
    }

    static boolean isNewer(PyDict said) {
        return version(said).orElse(0.0) > NEWEST || said.has("affine_map");
    }

    private static Optional<Double> version(PickleValue value) {
        if (value instanceof PyFloat(double number)) {
            return Optional.of(number);
        }
        if (value instanceof PyText text && text.value().matches("\\d+\\.\\d+")) {
            return Optional.of(Double.parseDouble(text.value()));
        }
        return value.asLong().isPresent()
                ? Optional.of((double) value.asLong().getAsLong())
                : Optional.empty();
    }

    /// In the order of precedence of upstream's merge.
    private static List<Pattern> patterns(CheckpointFile file, PyDict said, double version)
            throws IOException {
        List<Pattern> all = new ArrayList<>();
        add(all, file, said, "tp_replicated_parameter_patterns", Kind.REPLICATED_OVER_TP, -1);
        add(all, file, said, "parameter_to_average_patterns", Kind.AVERAGED_OVER_TP, -1);
        add(all, file, said, "parameter_with_2_sub_params_cat_dim_0", Kind.TWO_SUB_PARAMS, 0);
        addSubParams(all, file, said, version);
        add(all, file, said, "parameter_with_row_parallelism_patterns", Kind.ROW_PARALLEL, 1);
        add(all, file, said, "vocabulary_parameter_patterns", Kind.VOCABULARY, 0);
        add(all, file, said, "pipeline_replicated_parameter_patterns", Kind.REPLICATED_OVER_PP, -1);
        return all;
    }

    private static void add(
            List<Pattern> all, CheckpointFile file, PyDict said, String key, Kind kind, int dim)
            throws IOException {
        for (PickleValue value : list(file, said, key)) {
            Optional<String> regex = value.asText();
            if (regex.isEmpty()) {
                throw unusable(file, key, value, "a regular expression");
            }
            all.add(new Pattern(kind, regex.get(), dim, List.of(), List.of()));
        }
    }

    private static void addSubParams(
            List<Pattern> all, CheckpointFile file, PyDict said, double version)
            throws IOException {
        String key = "parameter_with_sub_params";
        Optional<PyDict> widths = said.find("sub_param_shard_widths").flatMap(PickleValue::asDict);
        for (PickleValue value : list(file, said, key)) {
            Optional<PyDict> rule =
                    value instanceof PyObject object && object.attributes().isPresent()
                            ? object.attributes()
                            : value.asDict();
            OptionalLong dim = rule.map(r -> number(r.find("partition_dim"))).orElse(none());
            Optional<List<PickleValue>> shape =
                    rule.flatMap(r -> r.find("shape")).flatMap(PickleValue::asSequence);
            Optional<List<PickleValue>> regexes =
                    rule.flatMap(r -> r.find("patterns")).flatMap(PickleValue::asSequence);
            if (dim.isEmpty()
                    || shape.isEmpty()
                    || regexes.isEmpty()
                    || dim.getAsLong() < 0
                    || dim.getAsLong() >= shape.get().size()) {
                throw unusable(file, key, value, "patterns, a shape and a partition_dim in it");
            }
            List<List<Long>> extents = extents(file, shape.get(), (int) dim.getAsLong(), version);
            for (PickleValue regex : regexes.get()) {
                String text = regex.asText().orElse("");
                all.add(
                        new Pattern(
                                Kind.SUB_PARAMS,
                                text,
                                (int) dim.getAsLong(),
                                extents,
                                widths(file, widths.flatMap(w -> w.find(text)))));
            }
        }
    }

    private static final int MOST_PARTS = 1024;

    private static List<List<Long>> extents(
            CheckpointFile file, List<PickleValue> shape, int dim, double version)
            throws IOException {
        List<List<Long>> extents = new ArrayList<>();
        for (int d = 0; d < shape.size(); d++) {
            PickleValue value = shape.get(d);
            OptionalLong scalar = value.asLong();
            if (scalar.isEmpty()) {
                extents.add(numbers(file, value));
            } else if (d != dim || version >= NEWEST) {
                extents.add(List.of(scalar.getAsLong()));
            } else if (scalar.getAsLong() < 1 || scalar.getAsLong() > MOST_PARTS) {
                throw unusable(file, "parameter_with_sub_params", value, "a number of equal parts");
            } else {
                extents.add(Collections.nCopies((int) scalar.getAsLong(), -1L));
            }
        }
        return extents;
    }

    private static List<List<Long>> widths(CheckpointFile file, Optional<PickleValue> value)
            throws IOException {
        List<List<Long>> widths = new ArrayList<>();
        for (PickleValue part : value.flatMap(PickleValue::asSequence).orElse(List.of())) {
            widths.add(numbers(file, part));
        }
        return widths;
    }

    private static List<Long> numbers(CheckpointFile file, PickleValue value) throws IOException {
        List<Long> numbers = new ArrayList<>();
        for (PickleValue each : value.asSequence().orElse(List.of())) {
            if (each.asLong().isEmpty()) {
                throw unusable(file, "parameter_with_sub_params", value, "extents");
            }
            numbers.add(each.asLong().getAsLong());
        }
        return numbers;
    }

    private static List<PickleValue> list(CheckpointFile file, PyDict said, String key)
            throws IOException {
        Optional<PickleValue> value = said.find(key).filter(v -> !v.isNone());
        if (value.isEmpty()) {
            return List.of();
        }
        Optional<List<PickleValue>> list = value.get().asSequence();
        if (list.isEmpty()) {
            throw unusable(file, key, value.get(), "a list");
        }
        return list.get();
    }

    private static IOException unusable(
            CheckpointFile file, String key, PickleValue value, String expected) {
        return file.malformed("`%s` in `%s` has %s".formatted(key, Hints.KEY, value), expected);
    }

    private static OptionalLong none() {
        return OptionalLong.empty();
    }

    private static OptionalLong number(Optional<PickleValue> value) {
        return value.map(PickleValue::asLong).orElse(none());
    }
}
