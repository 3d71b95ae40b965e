package io.ucp.parity;

import io.ucp.formats.IncompleteCheckpointException;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// Stripes of which more is lost than their parity makes up for, and which files would be enough.
final class Shortfall {
    private static final int SHOWN = 12;

    private final ProtectedCheckpoint checkpoint;

    /// Files lost together in some stripe -> how many of them are too many.
    private final Map<Set<Path>, Integer> excess = new LinkedHashMap<>();

    private String place = "";

    Shortfall(ProtectedCheckpoint checkpoint) {
        this.checkpoint = checkpoint;
    }

    /// Counts a stripe, if too much of it is lost.
    ///
    /// @param lost elements that have a block in it
    void add(Stripes stripes, int index, int[] lost) {
        ParitySet set = stripes.set();
        int most = set.parity().size();
        if (lost.length <= most) {
            return;
        }
        Set<Path> files = new TreeSet<>();
        for (int element : lost) {
            files.add(checkpoint.path(set, stripes.block(element, index).orElseThrow()));
        }
        if (place.isEmpty()) {
            place = set.name().isEmpty() ? checkpoint.base().toString() : set.name();
        }
        excess.putIfAbsent(files, lost.length - most);
    }

    boolean isEmpty() {
        return excess.isEmpty();
    }

    IncompleteCheckpointException refusal() {
        Map.Entry<Set<Path>, Integer> first = excess.entrySet().iterator().next();
        int lost = first.getKey().size();
        int most = checkpoint.manifest().parity();
        return new IncompleteCheckpointException(
                place,
                "%d files that belong together are lost or damaged: %s"
                        .formatted(lost, text(first.getKey())),
                "at most %d, for which the parity makes up".formatted(most),
                remedy("them") + ", then do it again");
    }

    /// Which files would be enough.
    String remedy() {
        return remedy(text(excess.keySet().iterator().next()));
    }

    /// @param lost what is said of the files of one stripe
    private String remedy(String lost) {
        if (excess.size() != 1) {
            return "these would be enough: %s; bring them back".formatted(text(enough()));
        }
        int more = excess.values().iterator().next();
        return "any %d of %s would be enough: bring %s back"
                .formatted(more, lost, more == 1 ? "one" : "them");
    }

    /// Files that make up for every excess, the most useful first.
    private List<Path> enough() {
        Map<Set<Path>, Integer> open = new LinkedHashMap<>(excess);
        List<Path> chosen = new ArrayList<>();
        while (!open.isEmpty()) {
            Map<Path, Integer> uses = new TreeMap<>();
            open.keySet().forEach(files -> files.forEach(f -> uses.merge(f, 1, Integer::sum)));
            chosen.forEach(uses::remove);
            Path best =
                    uses.entrySet().stream()
                            .max(
                                    Map.Entry.<Path, Integer>comparingByValue()
                                            .thenComparing(
                                                    Map.Entry.comparingByKey(
                                                            Comparator.reverseOrder())))
                            .orElseThrow()
                            .getKey();
            chosen.add(best);
            open.replaceAll((files, more) -> files.contains(best) ? more - 1 : more);
            open.values().removeIf(more -> more <= 0);
        }
        return chosen;
    }

    private static String text(Iterable<Path> paths) {
        List<String> names = new ArrayList<>();
        paths.forEach(path -> names.add(path.toString()));
        return names.stream().limit(SHOWN).collect(Collectors.joining(", "))
                + (names.size() > SHOWN ? " and %d more".formatted(names.size() - SHOWN) : "");
    }
}
