package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.List;

/// Names of frameworks and of Hugging Face, on a real checkpoint: LLaMA over a pipeline of
/// Megatron-DeepSpeed.
final class NamesTest {
    private static final Path SOURCE = Run.sample("llama-tp2-pp2-dp2");
    private static final String FAMILY = "megatron_deepspeed_llama";

    @TempDir private Path folder;

    private Path converted(String name, Object... more) {
        Path out = folder.resolve(name);
        Object[] all = new Object[more.length + 3];
        all[0] = "convert";
        all[1] = "-o";
        all[2] = out;
        System.arraycopy(more, 0, all, 3, more.length);
        Run.ucp(all).isDone();
        return out;
    }

    @Test
    void aModelsFolderHasTheNamesOfHuggingFaceAndTheReportSaysByWhichFamily() {
        Path out = folder.resolve("model");
        Run run = Run.ucp("convert", SOURCE, "-o", out, "--to", "safetensors").isDone();
        assertThat(run.out())
                .contains(
                        "names: those of Hugging Face, by the bundled family "
                                + FAMILY
                                + ", which fits every name and shape");
        assertThat(Run.ucp("inspect", out).isDone().out())
                .contains("model.layers.{0-3}.self_attn.q_proj.weight")
                .doesNotContain("query_key_value");
    }

    @Test
    void namesAreKeptWhereThatIsAsked() {
        Path out = converted("model", SOURCE, "--to", "safetensors", "--names", "keep");
        assertThat(Run.ucp("inspect", out).isDone().out())
                .contains("self_attention.query_key_value.weight");
    }

    @Test
    void otherFormatsKeepNamesUnlessOthersAreAskedFor() {
        Path kept = converted("kept", SOURCE, "--to", "universal");
        Path renamed = converted("renamed", SOURCE, "--to", "universal", "--names", "hf");
        Run.ucp("verify", SOURCE, kept).isDone();
        Run.ucp("verify", SOURCE, renamed, "--names", "hf").isDone();
        Run.ucp("verify", SOURCE, renamed).endsWith(ExitCode.DIFFERENCE);
    }

    @Test
    void aTargetsSpecLeadsBackFromTheNamesOfHuggingFace() {
        Path renamed = converted("renamed", SOURCE, "--to", "universal", "--names", "hf");
        Path back = converted("back", renamed, "--to", "universal", "--target-spec", FAMILY);
        Run.ucp("verify", SOURCE, back).isDone();
    }

    @Test
    void fromOneFrameworkToAnotherAndBackIsTheSameState() {
        Path other =
                converted(
                        "other",
                        SOURCE,
                        "--to",
                        "universal",
                        "--target-spec",
                        "megatron_core_llama_hf");
        assertThat(Run.ucp("inspect", other).isDone().out())
                .contains("decoder.layers.{0-3}.self_attention.linear_qkv.weight");
        Path back = converted("back", other, "--to", "universal", "--target-spec", FAMILY);
        Run.ucp("verify", SOURCE, back).isDone();
    }

    @Test
    void aTargetsSpecThatChangesNothingIsNotTakenWithoutAWord() {
        Path whole = converted("whole", SOURCE, "--to", "universal");
        for (Path from : List.of(SOURCE, whole)) {
            Run run =
                    Run.ucp(
                            "convert",
                            from,
                            "-o",
                            folder.resolve("out"),
                            "--to",
                            "universal",
                            "--target-spec",
                            FAMILY);
            assertThat(run.endsWith(ExitCode.USAGE).err())
                    .isEqualTo(
                            """
                            ucp convert: error: --target-spec %s has no effect: the target holds every \
                            parameter whole, under the names that it has; expected a spec whose renames lead to \
                            other names
                                hint: leave it out; --spec drops and casts
                            """
                                    .formatted(FAMILY));
        }
        // Without it the names would be Hugging Face's.
        Path model = converted("model", whole, "--to", "safetensors", "--target-spec", FAMILY);
        assertThat(Run.ucp("inspect", model).isDone().out())
                .contains("self_attention.query_key_value.weight");
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf", "keep"})
    void namesAndASpecForTheTargetAreNotBothTaken(String names) {
        Path out = folder.resolve("out");
        Run run =
                Run.ucp(
                        "convert",
                        SOURCE,
                        "-o",
                        out,
                        "--to",
                        "universal",
                        "--names",
                        names,
                        "--target-spec",
                        "megatron_core_llama_hf");
        assertThat(run.endsWith(ExitCode.USAGE).err())
                .contains(
                        "--names %s and --target-spec megatron_core_llama_hf; expected one of them: the target has the names of its spec"
                                .formatted(names));
        assertThat(out).doesNotExist();
    }

    @Test
    void aSpecOfAnotherModelIsRefusedNameByName() {
        Run run =
                Run.ucp(
                                "convert",
                                SOURCE,
                                "-o",
                                folder.resolve("out"),
                                "--to",
                                "universal",
                                "--target-spec",
                                "megatron_deepspeed_gpt")
                        .endsWith(ExitCode.USAGE);
        assertThat(run.err())
                .contains("\"transformer.wte.weight\" matches nothing in the checkpoint");
    }

    @Test
    void aSpecIsForTheNamesOnItsLeft() {
        Path renamed = converted("renamed", SOURCE, "--to", "universal", "--names", "hf");
        Run run = Run.ucp("inspect", renamed, "--spec", FAMILY).endsWith(ExitCode.USAGE);
        assertThat(run.err()).contains("39 names have no rule ('model.embed_tokens.weight', ");
    }
}
