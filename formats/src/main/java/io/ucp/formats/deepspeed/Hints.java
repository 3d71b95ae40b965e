package io.ucp.formats.deepspeed;

import io.ucp.formats.Finding;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

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
public final class Hints {
    static final String KEY = "universal_checkpoint_info";

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
            Shared.into(aliases, rank);
            frozen.addAll(rank.frozen().orElse(Map.of()).keySet());
            buffers.addAll(rank.buffers());
        }
        ModelStates first = ranks.getFirst();
        Optional<PyDict> said = first.file().root().find(KEY).flatMap(PickleValue::asDict);
        LayoutHints hints = of(first, said, folder, aliases, frozen, buffers, findings);
        if (hints.version().isPresent() && said.isPresent()) {
            for (ModelStates other : ranks.subList(1, ranks.size())) {
                tellOfUnlike(other, said.get(), first, findings);
            }
        }
        return hints;
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
        Optional<Double> version = said.flatMap(SaidPatterns::version);
        List<Pattern> patterns = new ArrayList<>();
        OptionalLong rows = OptionalLong.empty();
        if (said.isPresent() && version.isEmpty()) {
            findings.add(
                    new Finding(first.file().label(), "`" + KEY + "` has no version: not used"));
        } else if (said.isPresent() && SaidPatterns.isNewer(said.get())) {
            findings.add(
                    new Finding(
                            first.file().label(),
                            "`%s` is of version %s, or maps parameters by `affine_map`: not used, for"
                                            .formatted(KEY, version.orElse(0.0))
                                    + " versions up to 0.4 are read; the layout must come from a"
                                    + " spec"));
            version = Optional.empty();
        } else if (said.isPresent()) {
            SaidPatterns own = SaidPatterns.of(first.file(), said.get());
            patterns = own.patterns();
            rows = own.vocabularyRows();
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
            tellOfUnlike(files.model(mp), said, files.model(0), findings);
        }
    }

    /// As upstream, the first rank's is taken; where another's differs, that is told.
    private static void tellOfUnlike(
            ModelStates rank, PyDict said, ModelStates of, List<Finding> findings)
            throws IOException {
        Optional<PyDict> other = rank.file().root().find(KEY).flatMap(PickleValue::asDict);
        if (other.isEmpty()
                || !SaidPatterns.of(rank.file(), other.get())
                        .equals(SaidPatterns.of(of.file(), said))) {
            findings.add(
                    new Finding(
                            rank.file().label(),
                            "%s `%s` here; the one in %s is taken for all"
                                    .formatted(
                                            other.isEmpty() ? "no" : "another",
                                            KEY,
                                            of.file().label())));
        }
    }
}
