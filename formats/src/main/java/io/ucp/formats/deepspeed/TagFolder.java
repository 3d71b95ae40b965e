package io.ucp.formats.deepspeed;

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
        if (latest.isPresent() && isPlain(latest.get())) {
            Path taken = root.resolve(latest.get());
            boolean universalOnly =
                    Files.isDirectory(taken)
                            ? !isTag(taken)
                            : Files.exists(root.resolve(LATEST_UNIVERSAL));
            if (!universalOnly) {
                // A folder that is not there: reading it says so.
                found.add(
                        new Candidate(DeepSpeedFormat.NAME, taken, latest.get(), prefix + LATEST));
                tags.removeIf(tag -> nameOf(tag).equals(latest.get()));
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

    /// The text of a pointer file, empty where there is none or it is no short text.
    private static Optional<String> pointer(Path file) throws IOException {
        if (!Files.isRegularFile(file) || Files.size(file) > LONGEST_POINTER) {
            return Optional.empty();
        }
        String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8).strip();
        return text.isEmpty() ? Optional.empty() : Optional.of(text);
    }

    /// A tag is a folder's name, not a way out of the root.
    private static boolean isPlain(String tag) {
        return !tag.contains("/")
                && !tag.contains("\\")
                && !tag.contains("\0")
                && !tag.equals("..")
                && !tag.equals(".");
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
