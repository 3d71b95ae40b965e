package io.ucp.formats.mcore;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Finds the folders of iterations: one itself, or those of a root.
public final class IterationFolder {
    public static final String TRACKER = "latest_checkpointed_iteration.txt";
    public static final String RELEASE = "release";

    private static final Pattern ITERATION = Pattern.compile("iter_(\\d{7,18})");
    private static final int LONGEST_POINTER = 4096;

    private IterationFolder() {}

    /// The one that Megatron would load first; then the others, the newest first.
    public static List<Candidate> find(String format, Predicate<Path> holds, Path path)
            throws IOException {
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        if (holds.test(path)) {
            return List.of(candidate(format, path, ""));
        }
        List<Path> held = new ArrayList<>();
        for (Path folder : folders(path)) {
            if (isIteration(nameOf(folder)) && holds.test(folder)) {
                held.add(folder);
            }
        }
        held.sort(NEWEST_FIRST);
        List<Candidate> found = new ArrayList<>();
        Optional<Path> taken = tracked(path);
        // A folder that is not there is no other format's either: reading it says so.
        boolean ours =
                taken.isPresent()
                        && (held.contains(taken.get())
                                || (format.equals(Roles.LEGACY) && isLost(path, taken.get())));
        if (ours) {
            found.add(candidate(format, taken.get(), TRACKER));
            held.remove(taken.get());
        }
        for (Path folder : held) {
            found.add(candidate(format, folder, ours ? "" : CheckpointFormat.NO_POINTER));
        }
        return found;
    }

    /// The tracker of Megatron-DeepSpeed lies beside DeepSpeed's own pointer and names no folder.
    private static boolean isLost(Path root, Path taken) {
        return !Files.exists(taken)
                && !Files.exists(root.resolve("latest"))
                && !Files.exists(root.resolve("latest_universal"));
    }

    private static Candidate candidate(String format, Path folder, String pointer) {
        return new Candidate(format, folder, nameOf(folder), pointer);
    }

    private static Optional<Path> tracked(Path root) throws IOException {
        Path file = root.resolve(TRACKER);
        if (!Files.isRegularFile(file) || Files.size(file) > LONGEST_POINTER) {
            return Optional.empty();
        }
        String text = new String(WholeFile.read(file), StandardCharsets.UTF_8).strip();
        if (text.equals(RELEASE)) {
            return Optional.of(root.resolve(RELEASE));
        }
        return text.matches("\\d{1,18}")
                ? Optional.of(root.resolve(nameOf(Long.parseLong(text))))
                : Optional.empty();
    }

    /// `iter_0000003`.
    public static String nameOf(long iteration) {
        // A formatter would be the slowest part of `inspect`.
        String digits = Long.toString(iteration);
        return "iter_" + "0".repeat(Math.max(0, 7 - digits.length())) + digits;
    }

    /// The folder of a state that is to be written.
    public static String of(WriteRequest request) {
        boolean release = request.tag().equals(RELEASE);
        return release || request.iteration().isEmpty()
                ? RELEASE
                : nameOf(request.iteration().getAsLong());
    }

    /// Written last: it is what commits the checkpoint.
    public static SmallFile tracker(WriteRequest request) {
        String text =
                of(request).equals(RELEASE)
                        ? RELEASE
                        : Long.toString(request.iteration().orElseThrow());
        return new SmallFile(TRACKER, text.getBytes(StandardCharsets.UTF_8));
    }

    private static boolean isIteration(String name) {
        return name.equals(RELEASE) || ITERATION.matcher(name).matches();
    }

    private static List<Path> folders(Path root) throws IOException {
        try (Stream<Path> entries = Files.list(root)) {
            return entries.filter(Files::isDirectory).toList();
        }
    }

    public static String nameOf(Path path) {
        Path name = path.getFileName();
        return name == null ? path.toString() : name.toString();
    }

    private static final Comparator<Path> NEWEST_FIRST =
            Comparator.comparing((Path p) -> nameOf(p)).reversed();
}
