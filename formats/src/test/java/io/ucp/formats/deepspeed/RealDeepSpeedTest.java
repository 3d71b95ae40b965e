package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.TensorEntry;
import io.ucp.io.ByteReader;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;

/// The bundled samples, which DeepSpeed and Megatron-DeepSpeed wrote: the model's bfloat16 copy
/// tells whether the optimizer's fp32 tensors were taken apart in the right places.
class RealDeepSpeedTest {
    private static CheckpointIndex index(String sample) throws IOException {
        DeepSpeedFormat format = new DeepSpeedFormat();
        Path root = Path.of("..", "samples", sample, "checkpoint");
        return format.index(format.find(root).getFirst());
    }

    @ParameterizedTest
    @CsvSource({"llama-tp2-pp2-dp2, 54", "gpt2-zero2-tied-frozen, 16"})
    void everyMasterRoundsToTheModelsCopy(String sample, int expected) throws IOException {
        CheckpointIndex index = index(sample);
        Map<String, TensorEntry> weights = new HashMap<>();
        for (HeldTensor tensor : index.tensors()) {
            weights.put(tensor.name() + " at " + tensor.at(), tensor.tensor());
        }

        int compared = 0;
        for (FlatGroup group : index.flatGroups()) {
            ByteBuffer flat = flat(group);
            for (FlatGroup.Member member : group.members()) {
                ByteBuffer copy = bytes(held(weights, member.name() + " at " + group.at()));
                for (long i = 0; i < member.shape().count(); i++) {
                    assertThat(copy.getShort())
                            .as("%s, element %d", member.name(), i)
                            .isEqualTo((short) GeneratedCheckpoint.bfloat16(flat.getFloat()));
                }
                compared++;
            }
        }
        assertThat(compared).isEqualTo(expected);
        assertThat(index.findings()).isEmpty();
    }

    /// The fp32 elements of a group, end to end.
    private static ByteBuffer flat(FlatGroup group) throws IOException {
        long size = group.parts().stream().mapToLong(FlatGroup.Part::partExtent).sum() * 4;
        ByteBuffer all = ByteBuffer.allocate(Math.toIntExact(size)).order(ByteOrder.LITTLE_ENDIAN);
        for (FlatGroup.Part part : group.parts()) {
            all.put(bytes(held(part.states(), "fp32")));
        }
        return all.flip();
    }

    private static TensorEntry held(Map<String, TensorEntry> tensors, String name) {
        return Objects.requireNonNull(tensors.get(name), name);
    }

    private static ByteBuffer bytes(TensorEntry tensor) throws IOException {
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(tensor.size())).order(ByteOrder.LITTLE_ENDIAN);
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        return bytes.flip();
    }

    @Test
    void knowsAPipelineOfMegatron() throws IOException {
        CheckpointIndex index = index("llama-tp2-pp2-dp2");

        assertThat(index.mesh())
                .containsExactly(
                        new AxisDegree("pp", 2), new AxisDegree("dp", 2), new AxisDegree("tp", 2));
        assertThat(index.stage()).isEqualTo(1);
        assertThat(index.hints().version()).hasValue("0.4");
        assertThat(index.hints().vocabularyRows()).hasValue(1025);
        assertThat(index.hints().numbers()).containsEntry("heads", 8L).containsEntry("layers", 4L);
        assertThat(index.carried()).hasSize(26);
    }

    @Test
    void knowsStageThree() throws IOException {
        CheckpointIndex index = index("llama-zero3-dp4");

        assertThat(index.tensors()).isEmpty();
        assertThat(index.flatGroups()).hasSize(1).allMatch(FlatGroup::each);
        assertThat(index.flatGroups().getFirst().parts())
                .hasSize(4)
                .allMatch(p -> p.states().keySet().equals(Set.of("fp32", "exp_avg", "exp_avg_sq")))
                .allMatch(p -> p.scalars().containsKey("step"));
    }

    @Test
    void knowsTiedAndFrozenParameters() throws IOException {
        CheckpointIndex index = index("gpt2-zero2-tied-frozen");

        assertThat(index.hints().aliases())
                .containsExactly(Map.entry("lm_head.weight", "transformer.wte.weight"));
        assertThat(index.hints().frozen())
                .hasSize(12)
                .allMatch(n -> n.startsWith("transformer.h.0."));
        assertThat(index.tensors().stream().map(HeldTensor::name).collect(Collectors.toSet()))
                .hasSize(28)
                .containsAll(index.hints().frozen());
    }
}
