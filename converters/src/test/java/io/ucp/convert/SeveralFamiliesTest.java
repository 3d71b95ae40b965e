package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.ModelFamilies;
import io.ucp.bind.ModelFamilies.Fit;
import io.ucp.formats.RefusedException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Names and shapes that more than one bundled family has.
class SeveralFamiliesTest {
    private static final Path SOURCE = Path.of("../samples/llama-tp2-pp2-dp2/checkpoint");

    @ParameterizedTest
    @ValueSource(strings = {"--spec", "--target-spec"})
    void areOneErrorThatNamesThemAndTheOptionThatChooses(String option) throws IOException {
        Described source =
                Described.of(SOURCE, Optional.empty(), Optional.empty(), Map.of(), Names.KEEP);
        Fit fit =
                ModelFamilies.reading(
                                SourceNames.facts(source.held()),
                                SourceNames.numbers(source.source().index()),
                                Map.of(),
                                "")
                        .getFirst();
        Fit other = new Fit("another_llama", fit.spec(), fit.naming());
        RefusedException e = SourceNames.several(source, List.of(fit, other), option);
        assertThat(e)
                .hasMessageContaining("llama-tp2-pp2-dp2")
                .hasMessageContaining(
                        "2 bundled families fit every name and shape: megatron_deepspeed_llama,"
                                + " another_llama; expected one")
                .hasMessageContaining("name it: " + option + " megatron_deepspeed_llama");
    }

    /// A variant of a family has the same names on the framework's side, and is not meant unless it
    /// is named.
    @Test
    void ofAFamilyAndItsVariantThatIsTheFamily() throws IOException {
        FamilyModel model = FamilyModel.read("megatron_core_mixtral_hf_in_memory");
        assertThat(
                        ModelFamilies.writing(
                                        model.parameters(),
                                        model.numbers(),
                                        Map.of(),
                                        "megatron_core")
                                .fitting())
                .extracting(Fit::name)
                .containsExactly("megatron_core_mixtral_hf_in_memory");
    }
}
