package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;

/// What a target holds less of than its source is said by name (UCL section 5).
class NotGivenBackTest {
    private static final String PADDING =
            "not given back: padding: 1.word_embeddings.weight ([1025, 64] of [1280, 64] is real),"
                    + " 7.lm_head.weight ([1025, 64] of [1280, 64] is real)";

    @TempDir Path folder;

    private String said(String sample, String... target) {
        Object[] args = new Object[target.length + 4];
        args[0] = "convert";
        args[1] = Run.sample(sample);
        args[2] = "-o";
        args[3] = folder.resolve("out");
        System.arraycopy(target, 0, args, 4, target.length);
        return Run.ucp(args).isDone().out();
    }

    @Test
    void strippedPadding() {
        assertThat(
                        said(
                                "llama-tp2-pp2-dp2",
                                "--to",
                                "deepspeed",
                                "--tp",
                                "1",
                                "--vocab-padding",
                                "zero"))
                .contains(PADDING);
    }

    /// Four tensor-parallel ranks pad to another size: the source's rows do not fit it.
    @Test
    void paddingOfAnotherSize() {
        assertThat(said("llama-tp2-pp2-dp2", "--to", "deepspeed", "--tp", "4")).contains(PADDING);
    }

    @Test
    void roundedStates() {
        assertThat(said("hf-llama-sharded", "--to", "safetensors", "--dtype", "fp16"))
                .contains("not given back: weight, rounded to float16: lm_head.weight");
    }

    @Test
    void paddingOfJoinedParts() {
        Path sample = Run.sample("llama-tp2-pp2-dp2");
        Path first = folder.resolve("first");
        Path last = folder.resolve("last");
        Run.ucp("split", sample, "-o", first, "--to", "universal", "--component", "1").isDone();
        Run.ucp("split", sample, "-o", last, "--to", "universal", "--component", "7").isDone();

        assertThat(
                        Run.ucp("join", first, last, "-o", folder.resolve("out"), "--to", "torch")
                                .isDone()
                                .out())
                .contains(PADDING);
    }

    @ParameterizedTest
    @ValueSource(strings = {"universal", "deepspeed"})
    void nothingWhereEverythingIsThere(String to) {
        assertThat(said("llama-tp2-pp2-dp2", "--to", to)).doesNotContain("not given back");
    }
}
