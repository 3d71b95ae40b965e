package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.TargetRequest;
import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.CheckpointFile;
import io.ucp.formats.deepspeed.GeneratedCheckpoint;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.GeneratedParameter;
import io.ucp.formats.deepspeed.GeneratedParameter.Role;
import io.ucp.formats.deepspeed.Leaves;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.layout.ImpossibleLayoutException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Experts of AutoEP in DeepSpeed's universal form, and back in a job.
class AutoEpUniversalTest {
    private static final String UNIVERSAL = "deepspeed-universal";

    @TempDir Path folder;

    private static Request request(Path source, String to, Optional<TargetRequest> job) {
        return Conversions.request(source, to, Optional.empty(), job);
    }

    private Path run(Path source, String to, Optional<TargetRequest> job, String name)
            throws IOException {
        return Conversions.run(request(source, to, job), folder.resolve(name));
    }

    private static GeneratedCheckpoint experts(Wrapper wrapper, int stage, int dp, int ep) {
        GeneratedCheckpoint made =
                GeneratedCheckpoint.of(GeneratedCheckpoint.fusedMixture())
                        .configured()
                        .degrees(1, 1, dp)
                        .expertRanks(ep);
        return stage > 0 ? made.wrapper(wrapper).stage(stage) : made.withoutZero(wrapper);
    }

    private Path source(GeneratedCheckpoint of) throws IOException {
        of.writeTo(folder.resolve("source"));
        return folder.resolve("source");
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, 4, 2, false",
        "BF16, 1, 4, 4, false",
        "ZERO, 2, 6, 3, true",
        "ZERO, 2, 4, 1, false",
        "ZERO, 3, 4, 2, false",
        "ZERO, 3, 4, 1, false",
        "FUSED, 0, 4, 2, false"
    })
    void expertsAreOneTensorInTheOrderOfTheirNumbers(
            Wrapper wrapper, int stage, int dp, int ep, boolean blocks) throws IOException {
        GeneratedCheckpoint of = experts(wrapper, stage, dp, ep);
        Path made =
                run(
                        source(blocks ? of.expertsInBlocks() : of),
                        UNIVERSAL,
                        Optional.empty(),
                        "made");

        String name = "layers.1.mlp.experts.w2";
        Path parameter = made.resolve("global_step3_universal/zero").resolve(name);
        for (String state : List.of("fp32", "exp_avg", "exp_avg_sq")) {
            PyDict held = root(parameter.resolve(state + ".pt"));
            assertThat(held.entries())
                    .extracting(e -> e.key().toString())
                    .containsExactly(
                            "'param'", "'cat_dim'", "'is_expert_param'", "'ep_num_experts'");
            StringBuilder values = new StringBuilder();
            for (int i = 0; i < 12 * 5 * 8; i++) {
                values.append(Float.floatToRawIntBits(of.value(name, state, i))).append(' ');
            }
            assertThat(Leaves.of(parameter))
                    .containsEntry(state + ".pt:/'param'", "FLOAT32 [12, 5, 8] " + values)
                    .containsEntry(state + ".pt:/'cat_dim'", "0")
                    .containsEntry(state + ".pt:/'is_expert_param'", "True")
                    .containsEntry(state + ".pt:/'ep_num_experts'", "12");
        }
        assertThat(Files.exists(parameter.resolve("step.pt"))).isEqualTo(stage < 3);
    }

    private static PyDict root(Path file) throws IOException {
        return CheckpointFile.open(file).root().asDict().orElseThrow();
    }

    @Test
    void modelStatesSayOfFusedLayersWhatUpstreamWritesThere() throws IOException {
        Path made =
                run(source(experts(Wrapper.ZERO, 2, 4, 2)), UNIVERSAL, Optional.empty(), "made");

        PyDict model = root(made.resolve("global_step3_universal/mp_rank_00_model_states.pt"));
        PyDict info = model.find("universal_checkpoint_info").orElseThrow().asDict().orElseThrow();
        assertThat(info.find("expert_parameter_patterns").orElseThrow().asSequence().orElseThrow())
                .extracting(Object::toString)
                .containsExactly("'\\.experts\\.w[123]$'");
        PyDict layer =
                info.find("ds_autoep_layers")
                        .orElseThrow()
                        .asSequence()
                        .orElseThrow()
                        .get(1)
                        .asDict()
                        .orElseThrow();
        assertThat(layer.entries())
                .extracting(e -> e.key() + " " + e.value())
                .containsExactly(
                        "'moe_layer_id' 1",
                        "'module_path' 'layers.1.mlp'",
                        "'expert_key_prefix' 'layers.1.mlp.experts'",
                        "'num_experts' 12",
                        "'num_local_experts' 6",
                        "'ep_size' 2");
        assertThat(model.find("ds_autoep_layers").orElseThrow().asSequence().orElseThrow())
                .allMatch(l -> l.find("ep_rank").isPresent());
    }

    @Test
    void modelStatesOfStage3StayAsTheyAre() throws IOException {
        Path source = source(experts(Wrapper.ZERO, 3, 4, 2));

        Path made = run(source, UNIVERSAL, Optional.empty(), "made");

        String model = "zero_pp_rank_3_mp_rank_00_model_states.pt";
        assertThat(made.resolve("global_step3_universal").resolve(model))
                .hasSameBinaryContentAs(source.resolve("global_step3").resolve(model));
    }

    @ParameterizedTest
    @CsvSource({
        "ZERO, 1, 4, 2, 4, 1",
        "ZERO, 1, 4, 2, 4, 2",
        "BF16, 1, 4, 2, 4, 4",
        "ZERO, 2, 4, 4, 6, 3",
        "ZERO, 2, 4, 1, 4, 4",
        "ZERO, 3, 4, 2, 4, 1",
        "ZERO, 3, 4, 2, 4, 2",
        "ZERO, 3, 4, 2, 4, 4",
        "FUSED, 0, 4, 2, 4, 2",
        "FUSED, 0, 4, 2, 4, 1",
        "FUSED, 0, 4, 2, 2, 2",
        "UNFUSED, 0, 4, 4, 4, 2"
    })
    void aJobOfAnyDegreeIsMadeOfItAsItWouldHaveSavedItself(
            Wrapper wrapper, int stage, int dp, int ep, int newDp, int newEp) throws IOException {
        Path source = source(experts(wrapper, stage, dp, ep));
        TargetRequest job = TargetRequest.SAME.withDp(newDp).withEp(newEp);
        Path direct = run(source, "deepspeed", Optional.of(job), "direct");
        Path universal = run(source, UNIVERSAL, Optional.empty(), "universal");

        Path made = run(universal, "deepspeed", Optional.of(job), "made");

        assertSame(made, direct);
        Path arrow = run(universal, "universal", Optional.empty(), "arrow");
        assertSame(run(arrow, "deepspeed", Optional.of(job), "from-arrow"), direct);
        assertSame(run(arrow, UNIVERSAL, Optional.empty(), "again"), universal);
    }

    /// The universal form does not say how files were called; where weights are bf16 they are.
    private static Map<String, String> named(Map<String, String> leaves) {
        Map<String, String> all = new TreeMap<>();
        leaves.forEach((leaf, value) -> all.put(leaf.replace("/bf16_zero", "/zero"), value));
        return all;
    }

    /// Leaf by leaf; what differs is said alone.
    private static void assertSame(Path made, Path expected) throws IOException {
        Map<String, String> wanted = named(Leaves.of(expected));
        Map<String, String> found = named(Leaves.of(made));
        Set<String> leaves = new TreeSet<>(wanted.keySet());
        leaves.addAll(found.keySet());
        leaves.removeIf(leaf -> Objects.equals(found.get(leaf), wanted.get(leaf)));
        assertThat(leaves).isEmpty();
    }

    @Test
    void aDegreeThatDoesNotDivideTheExpertsNamesThoseThatDo() throws IOException {
        Path source = source(experts(Wrapper.ZERO, 2, 5, 1));
        Path universal = run(source, UNIVERSAL, Optional.empty(), "universal");

        for (Path from : List.of(source, universal)) {
            assertThatThrownBy(
                            () ->
                                    Conversion.prepare(
                                            request(
                                                    from,
                                                    "deepspeed",
                                                    Optional.of(TargetRequest.SAME.withEp(5)))))
                    .isInstanceOf(ImpossibleLayoutException.class)
                    .hasMessageContaining("ep 5 over 12 experts")
                    .hasMessageContaining("ep 1, 2, 3, 4, 6 or 12");
        }
    }

    @Test
    void aDegreeThatDoesNotDivideNumberedExpertsNamesThoseThatDo() throws IOException {
        Path source = folder.resolve("source");
        GeneratedCheckpoint.of(GeneratedCheckpoint.mixture(GeneratedParameter.Cut.ROWS))
                .degrees(1, 1, 5)
                .expertRanks(1)
                .writeTo(source);
        Optional<TargetRequest> job = Optional.of(TargetRequest.SAME.withEp(5));

        assertThatThrownBy(() -> Conversion.prepare(request(source, "deepspeed", job)))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("ep 5 over 12 experts")
                .hasMessageContaining("ep 1, 2, 3, 4, 6 or 12");
    }

    @Test
    void expertsThatAreNotTrainedHaveNoPlace() throws IOException {
        List<GeneratedParameter> frozen = new ArrayList<>();
        for (GeneratedParameter p : GeneratedCheckpoint.fusedMixture()) {
            frozen.add(p.name().contains("layers.0.mlp.experts") ? p.role(Role.FROZEN) : p);
        }
        Path source = folder.resolve("source");
        GeneratedCheckpoint.of(frozen)
                .configured()
                .degrees(1, 1, 4)
                .expertRanks(2)
                .stage(2)
                .writeTo(source);

        assertThatThrownBy(() -> Conversion.prepare(request(source, UNIVERSAL, Optional.empty())))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("layers.0.mlp.experts.w1")
                .hasMessageContaining("experts of AutoEP that are not trained")
                .hasMessageContaining("--to universal");
    }
}
