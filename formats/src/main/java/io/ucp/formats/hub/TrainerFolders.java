package io.ucp.formats.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// The `checkpoint-N` folders in which a Hugging Face trainer saves.
///
/// Source: transformers `trainer_utils.py` (`get_last_checkpoint`).
public final class TrainerFolders {
    private static final Pattern NAME = Pattern.compile("checkpoint-(\\d{1,18})");

    private TrainerFolders() {}

    /// Those of a root, the newest first: the one that the trainer would resume from.
    public static List<Path> of(Path root) throws IOException {
        if (!Files.isDirectory(root)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(root)) {
            return entries.filter(path -> stepOf(path) >= 0)
                    .filter(Files::isDirectory)
                    .sorted(Comparator.comparingLong(TrainerFolders::stepOf).reversed())
                    .toList();
        }
    }

    private static long stepOf(Path path) {
        Matcher matcher = NAME.matcher(path.getFileName().toString());
        return matcher.matches() ? Long.parseLong(matcher.group(1)) : -1;
    }
}
