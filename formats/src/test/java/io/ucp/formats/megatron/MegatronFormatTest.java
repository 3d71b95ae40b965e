package io.ucp.formats.megatron;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.Scalar;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.megatron.GeneratedMegatron.Kind;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Every element is where the index says, whatever the ranks and the optimizer.
class MegatronFormatTest {
    private final MegatronFormat format = new MegatronFormat();

    @TempDir Path root;

    private CheckpointIndex index() throws IOException {
        return format.index(format.find(root).getFirst());
    }

    @Test
    void filesInFoldersOfTheirOwnAreCarried() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.writeTo(root);
        for (String path : List.of("rng/of/state_0", "mp_rank_00/logs/a.txt", "note.txt")) {
            Path file = of.iteration(root).resolve(path);
            Files.createDirectories(Optional.ofNullable(file.getParent()).orElseThrow());
            Files.writeString(file, path);
        }
        assertThat(index().carried())
                .filteredOn(f -> f.role().equals(Roles.SIDE))
                .extracting(CarriedFile::path)
                .containsExactly("mp_rank_00/logs/a.txt", "note.txt", "rng/of/state_0");
    }

    static Map<String, GeneratedMegatron> layouts() {
        Map<String, GeneratedMegatron> all = new TreeMap<>();
        for (Kind kind : Kind.values()) {
            all.put(kind + " one rank", GeneratedMegatron.of(1, 1).kind(kind));
            all.put(kind + " tp 2 pp 2", GeneratedMegatron.of(2, 2).kind(kind));
            all.put(kind + " tp 4", GeneratedMegatron.of(4, 1).kind(kind));
            all.put(
                    kind + " pp 2, 2 chunks",
                    GeneratedMegatron.of(1, 2).layers(2, 1, 1, 1, 1).kind(kind));
            all.put(kind + " uneven", GeneratedMegatron.of(1, 3).layers(1, 2, 3, 1).kind(kind));
            all.put(
                    kind + " uneven chunks, an empty one",
                    GeneratedMegatron.of(1, 2).layers(2, 0, 2, 1, 1).kind(kind));
            all.put(kind + " tied", GeneratedMegatron.of(2, 1).tied().kind(kind));
            all.put(kind + " tied pp 2", GeneratedMegatron.of(2, 2).tied().kind(kind));
            all.put(kind + " experts", GeneratedMegatron.of(2, 1).experts(4, 1, 2).kind(kind));
            all.put(kind + " ep 2", GeneratedMegatron.of(1, 2).experts(4, 2, 1).kind(kind));
            all.put(
                    kind + " tp 2 ep 2 etp 2",
                    GeneratedMegatron.of(2, 1).experts(4, 2, 2).kind(kind));
            all.put(
                    kind + " tp 2 ep 2 etp 1",
                    GeneratedMegatron.of(2, 1).experts(4, 2, 1).kind(kind));
            all.put(
                    kind + " tp 4 ep 2 etp 1",
                    GeneratedMegatron.of(4, 1).experts(4, 2, 1).kind(kind));
        }
        for (Kind kind : Kind.values()) {
            all.put(
                    kind + " experts in one matrix",
                    GeneratedMegatron.of(2, 1).experts(4, 1, 2).together().kind(kind));
            all.put(
                    kind + " experts in one matrix, ep 2 etp 2",
                    GeneratedMegatron.of(2, 1).experts(4, 2, 2).together().kind(kind));
        }
        for (long bucket : new long[] {1, 64, 100, 130, 500, 100_000}) {
            all.put(
                    "buckets of " + bucket,
                    GeneratedMegatron.of(1, 2).layers(2, 1, 1, 1, 1).buckets(bucket));
            all.put(
                    "tied, buckets of " + bucket,
                    GeneratedMegatron.of(1, 2).tied().buckets(bucket));
        }
        return all;
    }

    static Set<String> names() {
        return layouts().keySet();
    }

    @ParameterizedTest
    @MethodSource("names")
    void everyElementIsWhereTheIndexSays(String name) throws IOException {
        GeneratedMegatron of = Objects.requireNonNull(layouts().get(name));
        of.writeTo(root);

        CheckpointIndex index = index();

        Set<String> expected = new TreeSet<>();
        of.parameters()
                .forEach(
                        p -> {
                            expected.add(p.name() + "/weight");
                            if (of.kind != Kind.NONE) {
                                expected.add(p.name() + "/exp_avg");
                                expected.add(p.name() + "/exp_avg_sq");
                            }
                            if (of.kind == Kind.PLAIN || of.kind == Kind.DISTRIBUTED) {
                                expected.add(p.name() + "/fp32");
                            }
                        });
        Set<String> seen = HeldElements.check(of, index);
        seen.removeIf(s -> of.tied && s.startsWith(Names.HEAD + "/"));
        assertThat(seen).isEqualTo(expected);
        assertThat(index.iteration()).hasValue(7);
        assertThat(index.findings()).hasSize(of.kind == Kind.NONE ? 1 : 0);
        assertThat(index.hints().family())
                .contains(of.experts > 0 ? "megatron_core_moe" : "megatron_core_llama");
    }

    @Test
    void groupsAreTheSameWhateverTheirOrderInTheFile() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 2).kind(Kind.PLAIN);
        of.firstSeen = true;
        of.writeTo(root);

        CheckpointIndex index = index();

        assertThat(HeldElements.check(of, index)).isNotEmpty();
        for (OptimizerMember m : index.members()) {
            boolean norm = m.name().contains("layernorm");
            assertThat(m.optimizerGroup()).as(m.name()).isEqualTo(norm ? 1 : 0);
            assertThat(m.scalars().get("step")).hasToString("int64 0x0900000000000000");
        }
    }

    @Test
    void torchsOwnOptimizerCountsItsStepsForEachParameter() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1).kind(Kind.PLAIN);
        of.stepInState = true;
        of.writeTo(root);

        assertThat(index().members())
                .allSatisfy(
                        m ->
                                assertThat(m.scalars().get("step"))
                                        .returns(DType.FLOAT32, Scalar::dtype));
    }

    @Test
    void theSecondNumberOfAFolderIsTheExpertRankWhereThereIsOneStage() throws IOException {
        GeneratedMegatron.of(1, 1).experts(4, 2, 1).writeTo(root);

        assertThat(root.resolve("iter_0000007/mp_rank_00_001")).isDirectory();
        assertThat(index().mesh())
                .containsExactly(
                        new AxisDegree("pp", 1),
                        new AxisDegree("dp", 2),
                        new AxisDegree("tp", 1),
                        new AxisDegree("ep", 2),
                        new AxisDegree("etp", 1));
    }

    @Test
    void vocabularyRowsAreRealWhereNothingExplainsThePadding() throws IOException {
        GeneratedMegatron of = GeneratedMegatron.of(1, 1);
        of.more.put("vocab_size", null);
        of.more.put("make_vocab_size_divisible_by", 5);
        of.writeTo(root);

        assertThat(index().hints().numbers())
                .containsEntry("vocab", 12L)
                .containsEntry("vocab_multiple", 1L);
    }

    @ParameterizedTest
    @ValueSource(strings = {"7", "7\n", " 7 "})
    void theTrackerNamesTheIteration(String text) throws IOException {
        GeneratedMegatron.of(1, 1).writeTo(root);
        Files.createDirectories(root.resolve("iter_0000009/mp_rank_00"));
        Files.copy(
                root.resolve("iter_0000007/mp_rank_00/model_optim_rng.pt"),
                root.resolve("iter_0000009/mp_rank_00/model_optim_rng.pt"));
        Files.writeString(root.resolve(IterationFolder.TRACKER), text);

        assertThat(format.find(root))
                .extracting(Candidate::tag)
                .containsExactly("iter_0000007", "iter_0000009");
        assertThat(format.find(root.resolve("iter_0000009")))
                .extracting(Candidate::tag)
                .containsExactly("iter_0000009");
    }

    @Test
    void aReleaseHasAFolderOfItsOwn() throws IOException {
        GeneratedMegatron.of(1, 1).writeTo(root);
        Files.move(root.resolve("iter_0000007"), root.resolve("release"));
        Files.writeString(root.resolve(IterationFolder.TRACKER), "release");

        assertThat(index().tag()).isEqualTo("release");
    }

    @Test
    void theTrackerBesideDeepSpeedsPointerIsNotOurs() throws IOException {
        Files.writeString(root.resolve(IterationFolder.TRACKER), "7");
        Files.writeString(root.resolve("latest"), "global_step7");

        assertThat(format.find(root)).isEmpty();
    }
}
