package io.ucp.formats.universal;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SplittableRandom;
import java.util.zip.CRC32;

/// Bytes for every state of every parameter.
final class TensorBytes {
    private record Key(String parameter, String state) {}

    private final Map<Key, byte[]> bytes = new LinkedHashMap<>();

    /// Random, or of few values so that they compress.
    static TensorBytes of(List<ParameterFacts> parameters, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        TensorBytes out = new TensorBytes();
        for (ParameterFacts facts : parameters) {
            facts.states()
                    .forEach(
                            (state, dtype) -> {
                                int size = Math.toIntExact(facts.shape().count() * dtype.width());
                                byte[] tensor = new byte[size];
                                boolean few = random.nextBoolean();
                                for (int i = 0; i < size; i++) {
                                    tensor[i] = (byte) (few ? i % 8 : random.nextInt(256));
                                }
                                out.bytes.put(new Key(facts.name(), state), tensor);
                            });
        }
        return out;
    }

    byte[] get(String parameter, String state) {
        byte[] found = bytes.get(new Key(parameter, state));
        if (found == null) {
            throw new NoSuchElementException(parameter + "/" + state);
        }
        return found;
    }

    /// Any digest will do: formats only pass them on.
    String digest(String parameter, String state) {
        CRC32 crc = new CRC32();
        crc.update(get(parameter, state));
        return "%016x".formatted(crc.getValue());
    }

    Map<String, Map<String, String>> digests() {
        Map<String, Map<String, String>> out = new HashMap<>();
        for (Key key : bytes.keySet()) {
            out.computeIfAbsent(key.parameter(), _ -> new HashMap<>())
                    .put(key.state(), digest(key.parameter(), key.state()));
        }
        return out;
    }

    static TensorEntry entry(WholeParameter whole, String state) {
        TensorEntry entry = whole.tensor(state);
        if (entry == null) {
            throw new NoSuchElementException(state);
        }
        return entry;
    }
}
