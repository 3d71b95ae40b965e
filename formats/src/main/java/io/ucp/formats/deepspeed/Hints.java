package io.ucp.formats.deepspeed;

import io.ucp.formats.Finding;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What the model states say of the layout: `universal_checkpoint_info`, and the numbers of the
/// model.
///
/// A scalar at the cut dimension of a sub-param shape (versions before 0.4) is a number of equal
/// parts: its extents are that many -1. A -1 elsewhere is the placeholder of the file.
///
/// Source: DeepSpeed `checkpoint/constants.py`, `checkpoint/ds_to_universal.py`.
public final class Hints {
    private static final String KEY = "universal_checkpoint_info";
    private static final double NEWEST = 0.4;

    private Hints() {}

    static LayoutHints read(
            CheckpointFiles files, Degrees degrees, Weights weights, List<Finding> findings)
            throws IOException {
        Optional<PyDict> said = described(files);
        LayoutHints hints =
                of(
                        files.model(0),
                        said,
                        files.folder(),
                        weights.aliases(),
                        weights.frozen(),
                        weights.buffers(),
                        findings);
        if (hints.version().isPresent() && said.isPresent()) {
            tellOfOthers(files, degrees, said.get(), findings);
        }
        return hints;
    }

    /// What the model states of a folder without rank-sharded optimizer files say.
    ///
    /// @param ranks one of each model-parallel rank
    public static LayoutHints of(List<ModelStates> ranks, Path folder, List<Finding> findings)
            throws IOException {
        Map<String, String> aliases = new LinkedHashMap<>();
        Set<String> frozen = new LinkedHashSet<>();
        Set<String> buffers = new LinkedHashSet<>();
        for (ModelStates rank : ranks) {
            aliases.putAll(rank.shared());
            frozen.addAll(rank.frozen().orElse(Map.of()).keySet());
            buffers.addAll(rank.buffers());
        }
        ModelStates first = ranks.getFirst();
        Optional<PyDict> said = first.file().root().find(KEY).flatMap(PickleValue::asDict);
        return of(first, said, folder, aliases, frozen, buffers, findings);
    }

    private static LayoutHints of(
            ModelStates first,
            Optional<PyDict> said,
            Path folder,
            Map<String, String> aliases,
            Set<String> frozen,
            Set<String> buffers,
            List<Finding> findings)
            throws IOException {
        Map<String, Long> numbers =
                ModelNumbers.of(first, TagFolder.trainerFolder(folder), findings);
        Optional<Double> version =
                said.flatMap(d -> d.find("universal_checkpoint_version")).flatMap(Hints::version);
        List<Pattern> patterns = new ArrayList<>();
        OptionalLong rows = OptionalLong.empty();
        if (said.isPresent() && version.isEmpty()) {
            findings.add(
                    new Finding(first.file().label(), "`" + KEY + "` has no version: not used"));
        } else if (said.isPresent() && isNewer(said.get(), version.orElse(0.0))) {
            findings.add(
                    new Finding(
                            first.file().label(),
                            "`%s` is of version %s, or maps parameters by `affine_map`: not used, for"
                                            .formatted(KEY, version.orElse(0.0))
                                    + " versions up to 0.4 are read; the layout must come from a"
                                    + " spec"));
            version = Optional.empty();
        } else if (said.isPresent()) {
            patterns = patterns(first.file(), said.get(), version.orElse(0.0));
            rows = number(said.get().find("original_vocab_size"));
        }
        return new LayoutHints(
                version.map(v -> Double.toString(v)),
                patterns,
                rows,
                aliases,
                frozen,
                buffers,
                numbers);
    }

    /// In the model states; AutoTP writes it to the optimizer states too.
    private static Optional<PyDict> described(CheckpointFiles files) throws IOException {
        Optional<PyDict> said = files.model(0).file().root().find(KEY).flatMap(PickleValue::asDict);
        return said.isPresent() || files.optimizers().isEmpty()
                ? said
                : files.optimizer(0, 0)
                        .file()
                        .root()
                        .find("optimizer_state_dict", KEY)
                        .flatMap(PickleValue::asDict);
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

    private static boolean isNewer(PyDict said, double version) {
        return version > NEWEST || said.has("affine_map");
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
                extents.add(java.util.Collections.nCopies((int) scalar.getAsLong(), -1L));
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
        return file.malformed("`%s` in `%s` has %s".formatted(key, KEY, value), expected);
    }

    private static OptionalLong none() {
        return OptionalLong.empty();
    }

    private static OptionalLong number(Optional<PickleValue> value) {
        return value.map(PickleValue::asLong).orElse(none());
    }

    private static void tellOfOthers(
            CheckpointFiles files, Degrees degrees, PyDict said, List<Finding> findings)
            throws IOException {
        String of = files.model(0).file().label();
        List<PickleValue> unsupported =
                said.find("autotp_unsupported_parameter_patterns")
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of());
        if (!unsupported.isEmpty()) {
            findings.add(
                    new Finding(
                            of,
                            "AutoTP says that it cannot describe how these parameters are cut: "
                                    + unsupported));
        }
        for (int mp = 1; mp < degrees.mp(); mp++) {
            Optional<PickleValue> other = files.model(mp).file().root().find(KEY);
            if (other.isEmpty()) {
                findings.add(
                        new Finding(
                                files.model(mp).file().label(),
                                "no `%s` here; the one in %s is taken for all".formatted(KEY, of)));
            }
        }
    }
}
