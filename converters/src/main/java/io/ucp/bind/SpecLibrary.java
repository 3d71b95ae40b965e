package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.lang.ImportSource;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// The specs that come with the program, by name.
public final class SpecLibrary {
    private static final List<String> NAMES =
            List.of(
                    "deepspeed_plain",
                    "gpt_neox",
                    "megatron_core_falcon_hf",
                    "megatron_core_gpt",
                    "megatron_core_gpt2_hf",
                    "megatron_core_gpt2_hf_local",
                    "megatron_core_gpt_moe",
                    "megatron_core_llama",
                    "megatron_core_llama_hf",
                    "megatron_core_llama_hf_local",
                    "megatron_core_llava_hf",
                    "megatron_core_llava_hf_in_memory",
                    "megatron_core_llava_hf_transformers5",
                    "megatron_core_llava_onevision_hf",
                    "megatron_core_llava_onevision_hf_in_memory",
                    "megatron_core_llava_onevision_hf_transformers5",
                    "megatron_core_mixtral_hf",
                    "megatron_core_mixtral_hf_grouped",
                    "megatron_core_mixtral_hf_in_memory",
                    "megatron_core_mixtral_hf_legacy_grouped",
                    "megatron_core_mixtral_hf_local",
                    "megatron_core_moe",
                    "megatron_core_phi_moe_hf",
                    "megatron_core_phi_moe_hf_in_memory",
                    "megatron_core_qwen2_moe_hf",
                    "megatron_core_qwen2_moe_hf_grouped",
                    "megatron_core_qwen2_moe_hf_in_memory",
                    "megatron_core_qwen2_moe_hf_legacy_grouped",
                    "megatron_core_qwen3_moe_hf",
                    "megatron_core_qwen3_moe_hf_grouped",
                    "megatron_core_qwen3_moe_hf_in_memory",
                    "megatron_core_qwen3_moe_hf_legacy_grouped",
                    "megatron_core_stablelm_hf",
                    "megatron_deepspeed_bloom",
                    "megatron_deepspeed_gpt",
                    "megatron_deepspeed_gpt_language_model",
                    "megatron_deepspeed_llama",
                    "megatron_deepspeed_moe",
                    "megatron_legacy_gpt",
                    "megatron_legacy_gpt_v0",
                    "megatron_legacy_gpt_v1",
                    "meta_llama");

    /// What several of them import; each is no spec of a model by itself.
    private static final List<String> PARTS =
            List.of(
                    "megatron_core_hf_decoder",
                    "megatron_core_hf_swiglu",
                    "megatron_deepspeed_gpt_modules",
                    "megatron_legacy_gpt_modules");

    private SpecLibrary() {}

    /// In the order of the alphabet.
    public static List<String> names() {
        return NAMES;
    }

    /// The names of those that fit every name and shape of a checkpoint.
    public static List<String> fitting(CheckpointIndex index) {
        HeldStages stages = new HeldStages(index);
        return NAMES.stream()
                .filter(name -> Binder.fits(held(find(name).orElseThrow(), index, stages), index))
                .toList();
    }

    /// A bundled spec, which is of a family, as one checkpoint of it holds its state: with the
    /// layers of its pipeline stages and the cut of its ZeRO stage.
    public static Spec held(Spec family, CheckpointIndex index) {
        return held(family, index, new HeldStages(index));
    }

    private static Spec held(Spec family, CheckpointIndex index, HeldStages stages) {
        return stages.in(HeldFlattening.in(family, index));
    }

    public static Optional<Spec> find(String name) {
        return text(name).map(source -> Ucl.parse(source, imports()));
    }

    /// Where `import` finds its texts: a bundled spec by its name, else a file, relative to the
    /// text that imports it.
    public static ImportSource imports() {
        return (target, importer) -> text(target).or(() -> file(target, importer));
    }

    private static Optional<SourceText> file(String target, SourceText importer) {
        try {
            Path file = Path.of(importer.name()).resolveSibling(target).normalize();
            return Files.isRegularFile(file)
                    ? Optional.of(SourceText.of(file.toString(), Files.readString(file)))
                    : Optional.empty();
        } catch (InvalidPathException _) {
            return Optional.empty();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// The text of a spec, as it was written.
    public static Optional<SourceText> text(String name) {
        if (!NAMES.contains(name) && !PARTS.contains(name)) {
            return Optional.empty();
        }
        String file = name + ".ucl";
        try (InputStream in = SpecLibrary.class.getResourceAsStream("/io/ucp/specs/" + file)) {
            if (in == null) {
                throw new IllegalStateException(
                        "bundled spec " + file + " is not on the class path");
            }
            return Optional.of(
                    SourceText.of(file, new String(in.readAllBytes(), StandardCharsets.UTF_8)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
