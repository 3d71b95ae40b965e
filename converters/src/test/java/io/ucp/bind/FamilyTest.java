package io.ucp.bind;

import static io.ucp.bind.IndexBuilder.at;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Scalar;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.Map;

/// Checkpoints whose metadata names a bundled family.
class FamilyTest {
    private static final Scalar STEP = new Scalar(DType.INT64, new byte[8]);

    /// @param stages of each layer, as `0011`
    private static IndexBuilder model(String stages, int virtual) {
        int pp = 1 + stages.chars().map(c -> c - '0').max().orElse(0);
        IndexBuilder index =
                new IndexBuilder()
                        .axis("pp", pp)
                        .axis("dp", 2)
                        .axis("tp", 1)
                        .family("megatron_core_llama")
                        .number("hidden", 4)
                        .number("vocab", 8)
                        .number("vocab_multiple", 8)
                        .number("vpp", virtual)
                        .weight("embedding.word_embeddings.weight", at("pp", 0, "tp", 0), 8, 4);
        for (int l = 0; l < stages.length(); l++) {
            index.weight(
                    "decoder.layers.%d.input_layernorm.weight".formatted(l),
                    at("pp", stages.charAt(l) - '0', "tp", 0),
                    4);
        }
        return index.weight("decoder.final_layernorm.weight", at("pp", pp - 1, "tp", 0), 4);
    }

    private static Sharding bound(CheckpointIndex index) {
        return Binder.bind(Inference.infer(index), index, Map.of());
    }

    @ParameterizedTest
    @CsvSource({"0000,1", "0011,1", "0101,2", "0123,1"})
    void equalStagesAreTheFamilysOwn(String stages, int virtual) {
        CheckpointIndex index = model(stages, virtual).build();
        assertThat(Inference.infer(index))
                .isEqualTo(SpecLibrary.find("megatron_core_llama").orElseThrow());
        assertThat(bound(index).parameters()).hasSize(6);
    }

    @ParameterizedTest
    @CsvSource({
        "0111,1,'stages [1, 3]'",
        "0012,1,'stages [2, 1, 1]'",
        "0022,1,'stages [2, 0, 2]'",
        "001011,2,'stages [2, 1, 1, 2] virtual 2'",
        "1101,2,'stages [0, 2, 1, 1] virtual 2'"
    })
    void unequalStagesAreAsTheCheckpointHoldsThem(String stages, int virtual, String clause) {
        CheckpointIndex index = model(stages, virtual).build();
        Spec spec = Inference.infer(index);
        assertThat(Ucl.format(spec)).contains("stage l over pp " + clause);
        assertThat(bound(index).parameters()).hasSize(2 + stages.length());
    }

    @Test
    void aShapeThatIsNotTheFamilysIsRefused() {
        CheckpointIndex index =
                model("00", 1).weight("decoder.layers.0.pre_mlp_layernorm.weight", at(), 5).build();
        assertThatThrownBy(() -> bound(index))
                .isInstanceOf(SpecException.class)
                .hasMessageContaining("decoder.layers.0.pre_mlp_layernorm.weight")
                .hasMessageContaining("[5]");
    }

    @Test
    void aTiedHeadOnAnotherStageIsACopy() throws Exception {
        CheckpointIndex index =
                model("01", 1)
                        .weight("output_layer.weight", at("pp", 1, "tp", 0), 8, 4)
                        .alias("output_layer.weight", "embedding.word_embeddings.weight")
                        .build();
        Inventory inventory = Assembler.assemble(index, bound(index), "");
        Parameter embedding = inventory.find("embedding.word_embeddings.weight").orElseThrow();
        assertThat(embedding.facts().aliases()).containsExactly("output_layer.weight");
        assertThat(embedding.states().values().iterator().next().copies())
                .extracting(c -> c.replica().label())
                .satisfiesExactly(
                        own -> assertThat(own).doesNotContain("output_layer"),
                        copy -> assertThat(copy).contains("as 'output_layer.weight'"));
    }

    @Test
    void anOptimizersTensorsHaveItsGroupAndStep() throws Exception {
        CheckpointIndex index =
                model("00", 1)
                        .member("decoder.layers.1.input_layernorm.weight", at(), 1, STEP)
                        .build();
        Inventory inventory = Assembler.assemble(index, bound(index), "");
        Parameter norm = inventory.find("decoder.layers.1.input_layernorm.weight").orElseThrow();
        assertThat(norm.facts().optimizerGroup()).isEqualTo(1);
        assertThat(norm.facts().scalars()).containsEntry("step", STEP);
        assertThat(inventory.find("decoder.final_layernorm.weight").orElseThrow().facts().scalars())
                .isEmpty();
    }
}
