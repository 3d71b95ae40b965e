package io.ucp.lang.diagnostic;

import java.util.Collection;
import java.util.List;
import java.util.Optional;

/// The hints of one run. Each costs a look at all candidates, so that where nothing fits, as many
/// names as candidates would cost their square: the first hundred get one, and nobody reads more.
public final class NearHints {
    private static final int MOST = 100;

    private int given;

    /// As [NearestNames#of]; none behind the last hint.
    public List<String> of(String name, Collection<String> candidates, int limit) {
        return given++ < MOST ? NearestNames.of(name, candidates, limit) : List.of();
    }

    /// As [NearestNames#hint]; none behind the last hint.
    public Optional<String> hint(String name, Collection<String> candidates) {
        return given++ < MOST ? NearestNames.hint(name, candidates) : Optional.empty();
    }
}
