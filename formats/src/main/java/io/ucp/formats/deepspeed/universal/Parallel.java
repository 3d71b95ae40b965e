package io.ucp.formats.deepspeed.universal;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/// Opens many small files at once: a large model has tens of thousands, and each costs a round
/// trip.
final class Parallel {
    private Parallel() {}

    interface Opening<A, B> {
        B of(A a) throws IOException;
    }

    private sealed interface Attempt<B> {
        record Opened<B>(B value) implements Attempt<B> {}

        record Failed<B>(IOException why) implements Attempt<B> {}
    }

    /// The values replaced by what they open to, in the same order of keys; the first that fails in
    /// that order is the error, whichever was tried first.
    static <K, A, B> SequencedMap<K, B> map(Map<K, A> values, Opening<A, B> opening)
            throws IOException {
        List<Map.Entry<K, A>> entries = List.copyOf(values.entrySet());
        List<Attempt<B>> attempts =
                entries.parallelStream().map(e -> attempt(e.getValue(), opening)).toList();
        SequencedMap<K, B> opened = new LinkedHashMap<>();
        for (int i = 0; i < entries.size(); i++) {
            switch (attempts.get(i)) {
                case Attempt.Opened<B>(B value) -> opened.put(entries.get(i).getKey(), value);
                case Attempt.Failed<B>(IOException why) -> throw why;
            }
        }
        return opened;
    }

    private static <A, B> Attempt<B> attempt(A value, Opening<A, B> opening) {
        try {
            return new Attempt.Opened<>(opening.of(value));
        } catch (IOException why) {
            return new Attempt.Failed<>(why);
        }
    }
}
