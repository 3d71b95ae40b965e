package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.Binder;
import io.ucp.bind.Sharding;
import io.ucp.bind.SpecLibrary;
import io.ucp.bind.TargetBinder;
import io.ucp.bind.TargetRequest;
import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.Renaming;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Elementwise;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetJob;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.plan.Planner;
import io.ucp.plan.RoundTrip;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// What each construct of the language comes to: a spec (`x.ucl`), what the ranks hold (`x.ranks`,
/// see [RanksText]), and the plan (`x.plan`) that puts every state of every parameter together, or
/// lays it out for the ranks of a job. `-Dgolden.update=true` rewrites the plans.
class GoldenPlanTest {
    private static final Path FOLDER = Path.of("src/test/resources/plans");

    static Stream<String> names() throws IOException {
        try (Stream<Path> files = Files.list(FOLDER)) {
            return files
                    .map(f -> f.getFileName().toString())
                    .filter(f -> f.endsWith(".ucl"))
                    .map(f -> f.substring(0, f.length() - 4))
                    .sorted()
                    .toList()
                    .stream();
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void aConstructComesToItsPlan(String name) throws IOException {
        Path golden = FOLDER.resolve(name + ".plan");
        String text = Files.readString(FOLDER.resolve(name + ".ucl"));
        RanksText ranks = RanksText.read(Files.readAllLines(FOLDER.resolve(name + ".ranks")));
        String plan = plan(SourceText.of(FOLDER + "/" + name + ".ucl", text), ranks);
        if (Boolean.getBoolean("golden.update")) {
            Files.writeString(golden, plan);
        }
        assertThat(plan).isEqualTo(Files.readString(golden));
    }

    @Test
    void noFileStandsAlone() throws IOException {
        List<String> names = names().toList();
        try (Stream<Path> files = Files.list(FOLDER).filter(Files::isRegularFile)) {
            assertThat(files.map(f -> f.getFileName().toString()).toList())
                    .containsExactlyInAnyOrderElementsOf(
                            names.stream()
                                    .flatMap(n -> Stream.of(n + ".ucl", n + ".ranks", n + ".plan"))
                                    .toList());
        }
    }

    private static String plan(SourceText source, RanksText ranks) throws IOException {
        try {
            Spec spec = Ucl.parse(source, SpecLibrary.imports());
            CheckpointIndex index = ranks.index();
            Sharding sharding = Binder.bind(spec, index, Map.of());
            Inventory held = Assembler.assemble(index, sharding, source.text());
            Inventory inventory = Renaming.apply(held, sharding.renames());
            Optional<TargetBinder.Bound> job =
                    ranks.job().isEmpty()
                            ? Optional.empty()
                            : Optional.of(bound(inventory, spec, ranks));
            List<TargetFile> targets =
                    job.isEmpty() ? wholes(inventory) : ofRanks(inventory, job.orElseThrow().job());
            String facts =
                    inventory.parameters().stream()
                            .map(Parameter::facts)
                            .map(GoldenPlanTest::facts)
                            .collect(Collectors.joining());
            List<String> notes = new ArrayList<>();
            inventory.findings().forEach(f -> notes.add(f.place() + ": " + f.message()));
            job.ifPresent(b -> b.notes().forEach(n -> notes.add("job: " + n)));
            return facts
                    + notes.stream().map(n -> n + "\n").collect(Collectors.joining())
                    + "\n"
                    + new PlanText(Path.of("")).of(Planner.plan(inventory, targets));
        } catch (SpecException
                | ImpossibleLayoutException
                | RefusedException
                | IncompleteCheckpointException e) {
            return String.valueOf(e.getMessage()).replace(FOLDER + "/", "") + "\n";
        }
    }

    private static String facts(ParameterFacts p) {
        return "%s %s%s%s%s, group %d\n"
                .formatted(
                        p.name(),
                        p.shape(),
                        p.padded() ? ", real " + p.realShape() : "",
                        p.aliases().isEmpty() ? "" : ", also " + String.join(", ", p.aliases()),
                        p.trainable() ? "" : ", frozen",
                        p.optimizerGroup());
    }

    private static List<TargetFile> wholes(Inventory inventory) {
        List<TargetFile> files = new ArrayList<>();
        for (Parameter p : inventory.parameters()) {
            for (Map.Entry<String, DType> state : p.facts().states().entrySet()) {
                files.add(
                        file(
                                p.name() + "/" + state.getKey(),
                                new Elementwise(
                                        p.name(),
                                        state.getKey(),
                                        state.getValue(),
                                        p.facts().shape().count(),
                                        List.of(Piece.whole(p.facts().shape()))),
                                0));
            }
        }
        return files;
    }

    private static TargetFile file(String path, Elementwise of, long zeros) {
        List<Part> parts = new ArrayList<>();
        if (of.count() > 0) {
            parts.add(new Part.Elements(0, of));
        }
        if (zeros > 0) {
            parts.add(new Part.Zeros(of.size(), zeros));
        }
        return new TargetFile(path, of.size() + zeros, parts, List.of(), Optional.empty());
    }

    private static TargetBinder.Bound bound(Inventory inventory, Spec spec, RanksText ranks) {
        CheckpointIndex index = inventory.index();
        TargetBinder.Source source =
                new TargetBinder.Source(
                        inventory.parameters().stream().map(Parameter::facts).toList(),
                        index.hints(),
                        index.mesh(),
                        index.stage());
        TargetBinder.Bound bound =
                TargetBinder.bind(source, Optional.of(spec), false, request(ranks), Map.of());
        RoundTrip.prove(source.parameters(), bound.job());
        return bound;
    }

    private static TargetRequest request(RanksText ranks) {
        return new TargetRequest(
                ranks.degree("tp"),
                ranks.degree("pp"),
                ranks.degree("dp"),
                ranks.degree("ep"),
                ranks.degree("zero"),
                Optional.empty(),
                Optional.empty(),
                TargetRequest.VocabularyPadding.KEEP,
                ranks.job().containsKey("etp")
                        ? TargetRequest.Framework.MEGATRON
                        : TargetRequest.Framework.DEEPSPEED,
                ranks.degree("vpp"),
                ranks.degree("etp"));
    }

    /// What every rank holds before data parallelism cuts it.
    private static List<TargetFile> ofRanks(Inventory inventory, TargetJob job) {
        List<TargetFile> files = new ArrayList<>();
        for (Parameter p : inventory.parameters()) {
            for (RankShard shard : job.shards().getOrDefault(p.name(), List.of())) {
                for (Map.Entry<String, DType> state : p.facts().states().entrySet()) {
                    long zeros = shard.shape().count() - shard.real();
                    files.add(
                            file(
                                    "%s/%s.%s %s"
                                            .formatted(
                                                    shard.at(),
                                                    shard.localName(),
                                                    state.getKey(),
                                                    shard.shape()),
                                    new Elementwise(
                                            p.name(),
                                            state.getKey(),
                                            state.getValue(),
                                            shard.real(),
                                            shard.pieces()),
                                    zeros * state.getValue().width()));
                }
            }
        }
        return files;
    }
}
