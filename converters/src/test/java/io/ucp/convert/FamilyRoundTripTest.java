package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.Binder;
import io.ucp.bind.ModelFamilies;
import io.ucp.bind.Naming;
import io.ucp.bind.SpecLibrary;
import io.ucp.bind.TargetBinder;
import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.Framework;
import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.Renaming;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Elementwise;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.io.PlainFile;
import io.ucp.lang.ast.Spec;
import io.ucp.plan.Comparison;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;

/// Small models under the names that transformers gives them, every element its own number: to the
/// ranks of a framework and back. Every family of the library has a file in `families` with the
/// names and shapes of such a model.
class FamilyRoundTripTest {
    /// Of one model by the same names: only the version that a file has tells the rows apart.
    private static final List<String> VERSIONS =
            List.of("megatron_legacy_gpt", "megatron_legacy_gpt_v0", "megatron_legacy_gpt_v1");

    @TempDir Path folder;

    static Stream<Arguments> families() {
        return ModelFamilies.names("").stream()
                .flatMap(name -> Stream.of(1, 2).map(tp -> Arguments.of(name, tp)));
    }

    /// All parameters in one file, one behind the other.
    private Inventory whole(FamilyModel model) throws IOException {
        long count = model.parameters().stream().mapToLong(p -> p.shape().count()).sum();
        ByteBuffer bytes =
                ByteBuffer.allocate(Math.toIntExact(count * 4)).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
            bytes.putInt(i);
        }
        Path file = Files.write(folder.resolve("whole"), bytes.array());
        List<WholeParameter> wholes = new ArrayList<>();
        long at = 0;
        for (ParameterFacts p : model.parameters()) {
            TensorEntry tensor =
                    TensorEntry.dense(new PlainFile(file, count * 4), at, DType.FLOAT32, p.shape());
            wholes.add(WholeParameter.of(p, Map.of("weight", tensor)));
            at += tensor.size();
        }
        return Assembler.wholes(index(List.of(), List.of(), wholes, model.numbers(), Map.of()));
    }

    private CheckpointIndex index(
            List<AxisDegree> mesh,
            List<HeldTensor> tensors,
            List<WholeParameter> wholes,
            Map<String, Long> numbers,
            Map<String, String> aliases) {
        return new CheckpointIndex(
                "generated",
                folder,
                "generated",
                OptionalLong.empty(),
                -1,
                mesh,
                tensors,
                List.of(),
                wholes,
                new LayoutHints(
                        Optional.empty(),
                        List.of(),
                        numbers.containsKey("vocab")
                                ? OptionalLong.of(numbers.get("vocab"))
                                : OptionalLong.empty(),
                        aliases,
                        Set.of(),
                        Set.of(),
                        numbers),
                List.of(),
                new Origin("generated", "generated", -1, mesh, Optional.empty()),
                List.of());
    }

    private static List<ParameterFacts> facts(Inventory inventory) {
        return inventory.parameters().stream().map(Parameter::facts).toList();
    }

    /// What the ranks of a job hold, each shard in a file of its own.
    private Inventory ranks(Inventory whole, Spec spec, FamilyModel model, int tp)
            throws IOException {
        TargetBinder.Source source =
                new TargetBinder.Source(
                        facts(whole),
                        whole.index().hints().withNumbers(model.numbers()),
                        List.of(),
                        -1);
        TargetRequest request = TargetRequest.SAME.withFramework(framework(spec)).withTp(tp);
        TargetJob job =
                TargetBinder.bind(source, Optional.of(spec), false, request, Map.of()).job();
        List<TargetFile> files = new ArrayList<>();
        List<HeldTensor> held = new ArrayList<>();
        Path out = Files.createDirectory(folder.resolve("ranks" + tp));
        job.shards()
                .forEach(
                        (name, shards) -> {
                            for (RankShard shard : shards) {
                                String file = "shard" + files.size();
                                long size = shard.shape().count() * 4;
                                List<Part> parts = new ArrayList<>();
                                parts.add(
                                        new Part.Elements(
                                                0,
                                                new Elementwise(
                                                        name,
                                                        "weight",
                                                        DType.FLOAT32,
                                                        shard.real(),
                                                        shard.pieces())));
                                if (shard.real() * 4 < size) {
                                    parts.add(
                                            new Part.Zeros(
                                                    shard.real() * 4, size - shard.real() * 4));
                                }
                                files.add(
                                        new TargetFile(
                                                file, size, parts, List.of(), Optional.empty()));
                                held.add(
                                        new HeldTensor(
                                                shard.localName(),
                                                "weight",
                                                shard.at(),
                                                TensorEntry.dense(
                                                        new PlainFile(out.resolve(file), size),
                                                        0,
                                                        DType.FLOAT32,
                                                        shard.shape())));
                            }
                        });
        PlanExecutor.execute(Planner.plan(whole, files), out, Options.standard(), Progress.NONE);
        CheckpointIndex index = index(job.mesh(), held, List.of(), model.numbers(), Map.of());
        return Assembler.assemble(index, Binder.bind(spec, index, Map.of()), "");
    }

    private static Framework framework(Spec spec) {
        return spec.name().orElse("").startsWith("megatron_core")
                ? Framework.MEGATRON
                : Framework.DEEPSPEED;
    }

    private static void assertSame(Inventory first, Inventory second) throws IOException {
        Comparison comparison = Planner.compare(first, second);
        assertThat(comparison.onlyFirst()).isEmpty();
        assertThat(comparison.onlySecond()).isEmpty();
        assertThat(comparison.unlike()).isEmpty();
        assertThat(
                        PlanExecutor.read(comparison.plan(), Options.standard(), Progress.NONE)
                                .differences())
                .isEmpty();
    }

    @ParameterizedTest
    @MethodSource("families")
    void toTheRanksOfTheFrameworkAndBackEveryElementIsWhereItWas(String family, int tp)
            throws IOException {
        FamilyModel model = FamilyModel.read(family);
        Inventory model0 = whole(model);
        Spec spec = SpecLibrary.find(family).orElseThrow();
        Naming back = Naming.back(spec, model.parameters(), model.numbers(), Map.of());
        Inventory named = Renaming.apply(model0, back);
        assertThat(Naming.fits(spec, facts(named), model.numbers(), Map.of())).isTrue();

        Inventory held = ranks(named, spec, new FamilyModel(back.numbers(), List.of()), tp);
        assertSame(named, held);

        List<ModelFamilies.Fit> fits =
                ModelFamilies.reading(facts(held), model.numbers(), Map.of(), "");
        // Names that modules have in memory are asked for; without that the files' are given.
        String files = family.replaceAll("_(in_memory|transformers5)$", "");
        assertThat(fits)
                .extracting(ModelFamilies.Fit::name)
                .containsExactlyElementsOf(VERSIONS.contains(family) ? VERSIONS : List.of(files));
        Inventory returned =
                Renaming.apply(held, Naming.forward(spec, facts(held), model.numbers(), Map.of()));
        assertThat(facts(returned))
                .extracting(ParameterFacts::name)
                .containsExactlyInAnyOrderElementsOf(
                        model.parameters().stream().map(ParameterFacts::name).toList());
        assertSame(model0, returned);
    }

    @ParameterizedTest
    @MethodSource("families")
    void theNamesOfTransformersFindTheFamilyOfAFramework(String family, int tp) throws IOException {
        FamilyModel model = FamilyModel.read(family);
        String framework = family.replaceAll("^(megatron_[a-z]+|[a-z]+)_.*", "$1");
        List<String> found =
                ModelFamilies.writing(model.parameters(), model.numbers(), Map.of(), framework)
                        .fitting()
                        .stream()
                        .map(ModelFamilies.Fit::name)
                        .toList();
        assertThat(found).hasSize(1).allMatch(name -> (family + "_").startsWith(name + "_"));
    }

    @Test
    void everyFamilyHasAModelHereAndEveryModelAFamily() throws IOException {
        try (Stream<Path> files = Files.list(FamilyModel.FOLDER)) {
            assertThat(files.map(f -> f.getFileName().toString().replace(".txt", "")).toList())
                    .containsExactlyInAnyOrderElementsOf(ModelFamilies.names(""));
        }
    }
}
