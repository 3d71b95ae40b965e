package io.ucp.convert;

import io.ucp.bind.SpecLibrary;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.ConfigNumbers;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.lang.Ucl;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// A checkpoint found on disk and indexed.
///
/// @param taken what was read
/// @param left what else lies there and was not read, in the order in which it would be
public record OpenedSource(Candidate taken, List<Candidate> left, CheckpointIndex index) {
    public OpenedSource {
        left = List.copyOf(left);
    }

    /// Finds what lies at `path` and indexes the first of it: a named format, else the one that the
    /// framework itself would resume from.
    ///
    /// @param from a format's name
    /// @throws IncompleteCheckpointException where there is no checkpoint
    public static OpenedSource open(Path path, Optional<String> from) throws IOException {
        if (!Files.exists(path)) {
            throw new NoSuchFileException(path.toString(), null, "no such file or folder");
        }
        List<CheckpointFormat> formats =
                CheckpointFormat.all().stream()
                        .sorted(Comparator.comparingInt(CheckpointFormat::precedence))
                        .toList();
        List<String> names = formats.stream().map(CheckpointFormat::name).toList();
        if (from.isPresent() && !names.contains(from.get())) {
            throw new UnknownFormatException("--from", from.get(), names);
        }
        List<Candidate> found = new ArrayList<>();
        for (CheckpointFormat format : formats) {
            found.addAll(format.find(path));
        }
        Optional<Candidate> taken =
                found.stream()
                        .filter(c -> from.isEmpty() || from.get().equals(c.format()))
                        .findFirst();
        if (taken.isEmpty()) {
            throw nothing(path, from, found, formats);
        }
        requireChoice(path, taken.get(), found);
        CheckpointFormat format =
                formats.stream()
                        .filter(f -> f.name().equals(taken.get().format()))
                        .findFirst()
                        .orElseThrow();
        List<Candidate> left = found.stream().filter(c -> !c.equals(taken.get())).toList();
        return new OpenedSource(taken.get(), left, remembered(numbered(format.index(taken.get()))));
    }

    /// With the text of the bundled spec that it names, where it holds its parameters whole and
    /// nothing else describes how a job would share them.
    private static CheckpointIndex remembered(CheckpointIndex index) {
        boolean described = index.wholes().isEmpty() || index.origin().spec().isPresent();
        return described
                ? index
                : index.hints()
                        .family()
                        .flatMap(SpecLibrary::find)
                        .map(spec -> index.withSpec(Ucl.format(spec)))
                        .orElse(index);
    }

    /// What frameworks take where nothing is said: vocabularies are padded to so many rows a rank,
    /// stages are in one piece. Source: Megatron-LM, `training/arguments.py`.
    private static final Map<String, Long> TAKEN = Map.of("vocab_multiple", 128L, "vpp", 1L);

    /// With the numbers of `config.json`, where it lies among the files.
    private static CheckpointIndex numbered(CheckpointIndex index) throws IOException {
        for (CarriedFile file : index.carried()) {
            if (file.path().equals("config.json") && file.file().isPresent()) {
                return ConfigNumbers.object(file.file().get())
                        .map(config -> index.withNumbers(ConfigNumbers.of(config)))
                        .orElse(index)
                        .withNumbers(TAKEN);
            }
        }
        return index.withNumbers(TAKEN);
    }

    /// Where no pointer says which of several checkpoints is meant, none is picked.
    private static void requireChoice(Path path, Candidate taken, List<Candidate> found)
            throws IncompleteCheckpointException {
        List<Candidate> alike =
                found.stream()
                        .filter(c -> c.format().equals(taken.format()))
                        .filter(c -> c.pointer().endsWith(CheckpointFormat.NO_POINTER))
                        .toList();
        if (taken.pointer().endsWith(CheckpointFormat.NO_POINTER) && alike.size() > 1) {
            throw new IncompleteCheckpointException(
                    path.toString(),
                    "no `latest`, and %d checkpoints: %s"
                            .formatted(
                                    alike.size(),
                                    alike.stream()
                                            .map(Candidate::tag)
                                            .collect(Collectors.joining(", "))),
                    "one",
                    "name one of them: " + taken.folder());
        }
    }

    private static IncompleteCheckpointException nothing(
            Path path, Optional<String> from, List<Candidate> found, List<CheckpointFormat> formats)
            throws IOException {
        String known =
                formats.stream().map(CheckpointFormat::name).collect(Collectors.joining(", "));
        if (from.isPresent() && !found.isEmpty()) {
            return new IncompleteCheckpointException(
                    path.toString(),
                    "a %s checkpoint".formatted(found.getFirst().format()),
                    "a %s checkpoint (--from)".formatted(from.get()),
                    "leave --from out, or name another folder");
        }
        return new IncompleteCheckpointException(
                path.toString(),
                "no checkpoint, but " + contents(path),
                "a checkpoint of one of the formats " + known,
                "name the folder that holds `latest`, the tag's own folder, or `manifest.json`");
    }

    private static String contents(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return "a file of %d bytes".formatted(Files.size(path));
        }
        try (Stream<Path> entries = Files.list(path)) {
            List<String> names =
                    entries.map(p -> p.getFileName().toString()).sorted().limit(6).toList();
            return names.isEmpty()
                    ? "an empty folder"
                    : names.stream()
                            .limit(5)
                            .collect(Collectors.joining(", ", "", names.size() > 5 ? ", .." : ""));
        }
    }
}
