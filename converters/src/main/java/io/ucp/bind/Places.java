package io.ucp.bind;

import io.ucp.formats.Coordinate;

import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/// Coordinates in a message: `pp 0, tp 0 and pp 0, tp 1`.
final class Places {
    private static final int SHOWN = 4;

    private Places() {}

    static String of(Collection<Holding> holdings, Set<String> axes) {
        return join(
                holdings.stream()
                        .map(
                                h -> {
                                    Coordinate at = h.at();
                                    for (String axis : h.at().indices().keySet()) {
                                        at = axes.contains(axis) ? at : at.without(axis);
                                    }
                                    return at;
                                })
                        .distinct()
                        .toList());
    }

    static String join(Collection<Coordinate> places) {
        List<String> shown = places.stream().limit(SHOWN).map(Coordinate::toString).toList();
        String text = shown.stream().collect(Collectors.joining("; "));
        return places.size() > SHOWN ? text + "; .. (%d places)".formatted(places.size()) : text;
    }
}
