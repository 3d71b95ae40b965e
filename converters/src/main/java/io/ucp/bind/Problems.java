package io.ucp.bind;

import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.NearHints;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Everything that is wrong with a spec, gathered over one run. What many parameters of one rule
/// have in common is said of the first, with the number of the others.
final class Problems {
    private final List<Diagnostic> found = new ArrayList<>();
    private final Set<Diagnostic> seen = new HashSet<>();
    private final Map<Place, List<String>> others = new LinkedHashMap<>();
    private final Map<Place, Integer> firsts = new LinkedHashMap<>();
    private final Map<Place, Set<String>> parameters = new HashMap<>();

    private final NearHints near = new NearHints();
    private Optional<Diagnostic> closing = Optional.empty();

    /// @param kind what sort of error, so that another sort at the same place is said too
    private record Place(Span span, String kind) {}

    /// What a name may have been meant for.
    NearHints near() {
        return near;
    }

    void error(Span span, String message) {
        add(Diagnostic.error(span, message));
    }

    void error(Span span, String message, String hint) {
        add(Diagnostic.error(span, message, hint));
    }

    void error(Span span, String message, Optional<String> hint) {
        add(new Diagnostic(io.ucp.lang.diagnostic.Severity.ERROR, span, message, hint));
    }

    private void add(Diagnostic diagnostic) {
        if (seen.add(diagnostic)) {
            found.add(diagnostic);
        }
    }

    /// An error of one parameter that others of the same rule are likely to share.
    void error(Span span, String kind, String parameter, String message, Optional<String> hint) {
        Place place = new Place(span, kind);
        if (firsts.containsKey(place)) {
            if (seen(place).add(parameter)) {
                others.computeIfAbsent(place, _ -> new ArrayList<>()).add(parameter);
            }
            return;
        }
        firsts.put(place, found.size());
        seen(place).add(parameter);
        found.add(
                new Diagnostic(
                        io.ucp.lang.diagnostic.Severity.ERROR,
                        span,
                        "'%s' %s".formatted(parameter, message),
                        hint));
    }

    /// Parameters that the error at a place was said of.
    private Set<String> seen(Place place) {
        return parameters.computeIfAbsent(place, _ -> new HashSet<>());
    }

    /// Said behind all others.
    void last(String message, String hint) {
        closing = Optional.of(Diagnostic.error(Span.NONE, message, hint));
    }

    /// Said in place of all others, which follow from it.
    void sole(Span span, String message, String hint) {
        found.clear();
        firsts.clear();
        others.clear();
        found.add(Diagnostic.error(span, message, hint));
    }

    /// What was found first; empty where nothing was.
    String first() {
        return found.isEmpty() ? "" : found.getFirst().message();
    }

    boolean any() {
        return !found.isEmpty();
    }

    /// @throws SpecException with all of them, in the order of the text
    void throwIfAny() {
        if (found.isEmpty()) {
            return;
        }
        List<Diagnostic> all = new ArrayList<>(found);
        others.forEach(
                (place, names) -> {
                    int at = firsts.getOrDefault(place, 0);
                    Diagnostic d = all.get(at);
                    String more =
                            "the same of %d more: %s".formatted(names.size(), Listing.of(names));
                    all.set(at, d.withHint(d.hint().map(h -> h + "; " + more).orElse(more)));
                });
        all.sort(Comparator.comparingInt(d -> d.span().start()));
        closing.ifPresent(all::add);
        throw new SpecException(all);
    }
}
