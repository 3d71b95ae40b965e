package io.ucp.bind;

import static io.ucp.bind.IndexBuilder.at;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointIndex;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class SpecLibraryTest {
    static Iterable<String> names() {
        return SpecLibrary.names();
    }

    @ParameterizedTest
    @MethodSource("names")
    void everyBundledSpecParsesUnderItsNameAndIsInCanonicalForm(String name) {
        Spec spec = SpecLibrary.find(name).orElseThrow();
        assertThat(spec.name()).contains(name);
        SourceText text = SpecLibrary.text(name).orElseThrow();
        assertThat(Ucl.format(text)).isEqualTo(text.text());
    }

    @Test
    void aNameThatIsNotBundledIsNotFound() {
        assertThat(SpecLibrary.find("megatron")).isEmpty();
        assertThat(SpecLibrary.find("../specs/deepspeed_plain")).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"false,flatten over dp", "true,flatten each over dp"})
    void aFamilysStatesAreCutAsTheCheckpointsZeroStageCutsThem(boolean each, String clause) {
        Spec family = SpecLibrary.find("megatron_deepspeed_gpt_language_model").orElseThrow();
        CheckpointIndex index =
                new IndexBuilder()
                        .axis("dp", 2)
                        .axis("tp", 1)
                        .group(0, at("tp", 0), "dp", each, IndexBuilder.member("a", 3))
                        .build();
        assertThat(Ucl.format(SpecLibrary.held(family, index)))
                .contains("fp32, exp_avg, exp_avg_sq: " + clause + ";");
    }

    @Test
    void aSpecStaysAsItIsWhereTheCheckpointHoldsNothingFlat() {
        Spec family = SpecLibrary.find("megatron_deepspeed_llama").orElseThrow();
        CheckpointIndex index = new IndexBuilder().axis("dp", 2).build();
        assertThat(SpecLibrary.held(family, index)).isEqualTo(family);
    }

    @Test
    void modulesOfAPipelineAreCountedFromTheFirstLayerOn() {
        Spec family = SpecLibrary.find("megatron_deepspeed_llama").orElseThrow();
        IndexBuilder index =
                new IndexBuilder()
                        .axis("pp", 2)
                        .axis("dp", 1)
                        .axis("tp", 1)
                        .weight("1.word_embeddings.weight", at("pp", 0, "tp", 0), 8, 4);
        for (int layer = 2; layer < 6; layer++) {
            index.weight(
                    layer + ".input_layernorm.weight", at("pp", layer > 2 ? 1 : 0, "tp", 0), 4);
        }
        assertThat(Ucl.format(SpecLibrary.held(family, index.build())))
                .contains("stage l over pp stages [1, 3]");
    }
}
