package io.ucp.formats.deepspeed;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.io.PlainName;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Finds the folders that hold one checkpoint each: a tag folder, the tag folders of a root, the
/// `checkpoint-N` folders of the Hugging Face trainer.
final class TagFolder {
    static final String LATEST = "latest";
    private static final String LATEST_UNIVERSAL = "latest_universal";
    private static final Pattern TRAINER = Pattern.compile("checkpoint-(\\d+)");
    private static final int LONGEST_POINTER = 4096;
    private static final int SHOWN = 60;

    private TagFolder() {}

    /// The one that DeepSpeed would load first; then the others, the newest first.
    static List<Candidate> find(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        if (isTag(path)) {
            return List.of(new Candidate(DeepSpeedFormat.NAME, path, nameOf(path), ""));
        }
        List<Candidate> ofRoot = inRoot(path, "");
        return ofRoot.isEmpty() ? inTrainerFolders(path) : ofRoot;
    }

    private static List<Candidate> inRoot(Path root, String prefix) throws IOException {
        List<Path> tags = new ArrayList<>();
        for (Path folder : folders(root)) {
            if (isTag(folder)) {
                tags.add(folder);
            }
        }
        tags.sort(NEWEST_FIRST);
        Optional<String> latest = pointer(root.resolve(LATEST));
        List<Candidate> found = new ArrayList<>();
        if (latest.isPresent()) {
            Optional<Path> taken = named(root, latest.get());
            // What is not there is not replaced by what is: reading it says so.
            boolean astray = taken.isEmpty() || !Files.exists(taken.get());
            boolean elsewhere =
                    tags.isEmpty()
                            && (taken.isEmpty() || Files.exists(root.resolve(LATEST_UNIVERSAL)));
            if (astray ? !elsewhere : isTag(taken.get())) {
                String tag = taken.isPresent() ? latest.get() : "";
                found.add(
                        new Candidate(
                                DeepSpeedFormat.NAME,
                                taken.orElse(root.resolve(LATEST)),
                                tag,
                                prefix + LATEST));
                tags.removeIf(other -> nameOf(other).equals(tag));
            }
        }
        String pointer = found.isEmpty() ? prefix + CheckpointFormat.NO_POINTER : "";
        for (Path tag : tags) {
            found.add(new Candidate(DeepSpeedFormat.NAME, tag, nameOf(tag), pointer));
        }
        return found;
    }

    private static List<Candidate> inTrainerFolders(Path path) throws IOException {
        List<Path> steps = new ArrayList<>();
        for (Path folder : folders(path)) {
            if (TRAINER.matcher(nameOf(folder)).matches()) {
                steps.add(folder);
            }
        }
        steps.sort(NEWEST_FIRST);
        List<Candidate> found = new ArrayList<>();
        for (Path step : steps) {
            found.addAll(inRoot(step, nameOf(step) + "/"));
        }
        return found;
    }

    /// Whether `folder` holds rank files; a universal folder holds copies of some, beside `zero`.
    static boolean isTag(Path folder) throws IOException {
        if (Files.isDirectory(folder.resolve("zero"))) {
            return false;
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.anyMatch(
                    f ->
                            !(FileName.of(nameOf(f)) instanceof FileName.Side)
                                    && Files.isRegularFile(f));
        }
    }

    /// The trainer's own folder around a tag folder, where there is one.
    static Optional<Path> trainerFolder(Path tag) {
        Path parent = tag.toAbsolutePath().normalize().getParent();
        boolean trainer =
                parent != null
                        && (TRAINER.matcher(nameOf(parent)).matches()
                                || Files.exists(parent.resolve("trainer_state.json")));
        return trainer ? Optional.ofNullable(parent) : Optional.empty();
    }

    static String nameOf(Path path) {
        Path name = path.getFileName();
        return name == null ? path.toString() : name.toString();
    }

    /// The text of a pointer file, absent where there is no such file. One too long to name a
    /// folder is no text that does.
    private static Optional<String> pointer(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            return Optional.empty();
        }
        return Files.size(file) > LONGEST_POINTER
                ? Optional.of("")
                : Optional.of(new String(WholeFile.read(file), StandardCharsets.UTF_8).strip());
    }

    /// The folder of a tag in a root. A tag is a folder's name, not a way out of the root.
    private static Optional<Path> named(Path root, String tag) {
        return PlainName.is(tag) ? Optional.of(root.resolve(tag)) : Optional.empty();
    }

    /// Refuses a candidate that a pointer led to and that is not there.
    static void requireFolder(Candidate candidate) throws IOException {
        Path folder = candidate.folder();
        if (Files.isDirectory(folder) || candidate.pointer().isEmpty()) {
            return;
        }
        Path parent = folder.toAbsolutePath().getParent();
        List<Path> tags = new ArrayList<>();
        for (Path other : parent == null ? List.<Path>of() : folders(parent)) {
            if (isTag(other)) {
                tags.add(other);
            }
        }
        tags.sort(NEWEST_FIRST);
        String instead =
                tags.isEmpty()
                        ? "copy it from where it was written, or name another tag folder"
                        : "name the tag folder that you mean: " + tags.getFirst();
        if (candidate.tag().isEmpty()) {
            throw new IncompleteCheckpointException(
                    folder.toString(),
                    "it says '%s'".formatted(shown(pointer(folder).orElse(""))),
                    "the name of a tag folder beside it",
                    instead);
        }
        throw new IncompleteCheckpointException(
                folder.toString(),
                "`%s` names it, and it is not there".formatted(candidate.pointer()),
                "the folder of the tag %s".formatted(candidate.tag()),
                instead);
    }

    private static String shown(String text) {
        String line = text.replaceAll("\\p{Cntrl}", "?");
        return line.length() <= SHOWN ? line : line.substring(0, SHOWN) + "..";
    }

    private static List<Path> folders(Path root) throws IOException {
        try (Stream<Path> entries = Files.list(root)) {
            return entries.filter(Files::isDirectory).toList();
        }
    }

    /// By the number that ends the name, then by name.
    private static final Comparator<Path> NEWEST_FIRST =
            Comparator.comparingLong(TagFolder::stepOf)
                    .reversed()
                    .thenComparing(Comparator.comparing(TagFolder::nameOf));

    private static final Pattern STEP = Pattern.compile("(\\d{1,18})$");

    private static long stepOf(Path path) {
        Matcher m = STEP.matcher(nameOf(path));
        return m.find() ? Long.parseLong(m.group(1)) : -1;
    }
}
