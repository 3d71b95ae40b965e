package io.ucp.bind;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
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
}
