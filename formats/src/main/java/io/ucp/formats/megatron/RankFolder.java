package io.ucp.formats.megatron;

import io.ucp.formats.mcore.IterationFolder;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// The name of a rank's folder: `mp_rank_00`, `mp_rank_00_001`, `mp_rank_00_001_002`.
///
/// @param numbers of the tensor-parallel rank first; what the others are of, the name does not say
record RankFolder(Path path, List<Integer> numbers) {
    private static final Pattern NAME =
            Pattern.compile("mp_rank_(\\d{2,6})(?:_(\\d{3,6}))?(?:_(\\d{3,6}))?");

    RankFolder {
        numbers = List.copyOf(numbers);
    }

    static Optional<RankFolder> of(Path path) {
        Matcher m = NAME.matcher(IterationFolder.nameOf(path));
        if (!m.matches()) {
            return Optional.empty();
        }
        List<Integer> numbers = new ArrayList<>();
        for (int i = 1; i <= m.groupCount(); i++) {
            String digits = m.group(i);
            if (digits != null) {
                numbers.add(Integer.parseInt(digits));
            }
        }
        return Optional.of(new RankFolder(path, numbers));
    }

    /// The name of the folder of a rank in a job of `pp` stages and `ep` expert ranks.
    static String nameOf(int tp, int pp, int ep, int stages, int expertRanks) {
        return String.format(
                Locale.ROOT,
                "mp_rank_%02d%s%s",
                tp,
                stages > 1 ? String.format(Locale.ROOT, "_%03d", pp) : "",
                expertRanks > 1 ? String.format(Locale.ROOT, "_%03d", ep) : "");
    }

    String name() {
        return IterationFolder.nameOf(path);
    }

    /// Whether a folder has one of a rank with its file.
    static boolean areIn(Path folder) {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isDirectory)
                    .anyMatch(
                            rank ->
                                    RankFolder.of(rank).isPresent()
                                            && Files.isRegularFile(rank.resolve(RankFiles.MODEL)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
