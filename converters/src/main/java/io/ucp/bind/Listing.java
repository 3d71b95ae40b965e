package io.ucp.bind;

import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;

/// Names in a message: the first few, quoted, and how many there are.
final class Listing {
    private static final int SHOWN = 3;

    private Listing() {}

    static String of(Collection<String> names) {
        List<String> distinct = names.stream().distinct().toList();
        String shown =
                distinct.stream()
                        .limit(SHOWN)
                        .map(n -> "'" + n + "'")
                        .collect(Collectors.joining(", "));
        return distinct.size() > SHOWN ? shown + ", .. (%d)".formatted(distinct.size()) : shown;
    }
}
