package io.ucp.formats.megatron;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Finds the folders of iterations: one itself, or those of a root.
final class IterationFolder {
    static final String TRACKER = "latest_checkpointed_iteration.txt";
    static final String RELEASE = "release";

    private static final Pattern ITERATION = Pattern.compile("iter_(\\d{7,18})");
    private static final int LONGEST_POINTER = 4096;

    private IterationFolder() {}

    /// The one that Megatron would load first; then the others, the newest first.
    static List<Candidate> find(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        if (holdsRanks(path)) {
            return List.of(candidate(path, ""));
        }
        List<Path> held = new ArrayList<>();
        for (Path folder : folders(path)) {
            if (isIteration(nameOf(folder)) && holdsRanks(folder)) {
                held.add(folder);
            }
        }
        held.sort(NEWEST_FIRST);
        List<Candidate> found = new ArrayList<>();
        Optional<Path> taken = tracked(path);
        // A folder that is not there is no other format's either: reading it says so.
        boolean ours =
                taken.isPresent() && (held.contains(taken.get()) || isLost(path, taken.get()));
        if (ours) {
            found.add(candidate(taken.get(), TRACKER));
            held.remove(taken.get());
        }
        for (Path folder : held) {
            found.add(candidate(folder, ours ? "" : CheckpointFormat.NO_POINTER));
        }
        return found;
    }

    /// The tracker of Megatron-DeepSpeed lies beside DeepSpeed's own pointer and names no folder.
    private static boolean isLost(Path root, Path taken) {
        return !Files.exists(taken)
                && !Files.exists(root.resolve("latest"))
                && !Files.exists(root.resolve("latest_universal"));
    }

    private static Candidate candidate(Path folder, String pointer) {
        return new Candidate(MegatronFormat.NAME, folder, nameOf(folder), pointer);
    }

    private static Optional<Path> tracked(Path root) throws IOException {
        Path file = root.resolve(TRACKER);
        if (!Files.isRegularFile(file) || Files.size(file) > LONGEST_POINTER) {
            return Optional.empty();
        }
        String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8).strip();
        if (text.equals(RELEASE)) {
            return Optional.of(root.resolve(RELEASE));
        }
        return text.matches("\\d{1,18}")
                ? Optional.of(root.resolve(nameOf(Long.parseLong(text))))
                : Optional.empty();
    }

    /// `iter_0000003`.
    static String nameOf(long iteration) {
        return "iter_%07d".formatted(iteration);
    }

    private static boolean isIteration(String name) {
        return name.equals(RELEASE) || ITERATION.matcher(name).matches();
    }

    private static boolean holdsRanks(Path folder) throws IOException {
        for (Path rank : folders(folder)) {
            if (RankFolder.of(rank).isPresent()
                    && Files.isRegularFile(rank.resolve(RankFiles.MODEL))) {
                return true;
            }
        }
        return false;
    }

    private static List<Path> folders(Path root) throws IOException {
        try (Stream<Path> entries = Files.list(root)) {
            return entries.filter(Files::isDirectory).toList();
        }
    }

    static String nameOf(Path path) {
        Path name = path.getFileName();
        return name == null ? path.toString() : name.toString();
    }

    private static final Comparator<Path> NEWEST_FIRST =
            Comparator.comparing((Path p) -> nameOf(p)).reversed();
}
