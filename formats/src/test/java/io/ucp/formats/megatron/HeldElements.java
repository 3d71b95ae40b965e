package io.ucp.formats.megatron;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.deepspeed.GeneratedParameter;
import io.ucp.io.ByteReader;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Set;
import java.util.TreeSet;

/// Reads every element from where an index says that it is, and compares it with what a
/// [GeneratedMegatron] put there.
final class HeldElements {
    private HeldElements() {}

    /// @return `name/state` of everything that was found and compared
    static Set<String> check(GeneratedMegatron of, CheckpointIndex index) throws IOException {
        TreeSet<String> seen = new TreeSet<>();
        for (HeldTensor held : index.tensors()) {
            String name = index.hints().aliases().getOrDefault(held.name(), held.name());
            GeneratedParameter p =
                    of.parameters().stream()
                            .filter(q -> q.name().equals(name))
                            .findFirst()
                            .orElseThrow(() -> new AssertionError("unknown: " + held.name()));
            boolean expert = held.at().indices().containsKey("etp");
            int ranks = expert ? of.etp : of.tp;
            int rank = held.at().on(expert ? "etp" : "tp");
            GeneratedParameter own = of.ofRank(p);
            long before = own.equals(p) ? 0 : own.shape().count() * held.at().on("ep");
            assertThat(held.tensor().shape()).as(held.name()).isEqualTo(own.local(ranks));
            compare(of, held, name, own, rank, ranks, before);
            seen.add(held.name() + "/" + held.state());
        }
        return seen;
    }

    private static void compare(
            GeneratedMegatron of,
            HeldTensor held,
            String name,
            GeneratedParameter p,
            int rank,
            int ranks,
            long before)
            throws IOException {
        int width = held.tensor().dtype().width();
        int count = Math.toIntExact(held.tensor().shape().count());
        ByteBuffer bytes = ByteBuffer.allocate(count * width).order(ByteOrder.LITTLE_ENDIAN);
        try (ByteReader reader = held.tensor().source().open()) {
            reader.read(held.tensor().offset(), bytes);
        }
        bytes.flip();
        for (int i = 0; i < count; i++) {
            float value =
                    width == 4 ? bytes.getFloat() : Float.intBitsToFloat(bytes.getShort() << 16);
            assertThat((double) value)
                    .as("%s %s at %s, element %d", held.name(), held.state(), held.at(), i)
                    .isEqualTo(
                            of.value(name, held.state(), before + p.globalIndex(i, rank, ranks)));
        }
    }
}
