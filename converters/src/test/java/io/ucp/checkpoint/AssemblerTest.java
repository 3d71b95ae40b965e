package io.ucp.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.BoundParameter;
import io.ucp.bind.Shard;
import io.ucp.bind.Sharding;
import io.ucp.bind.StateLayout;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Elementwise;
import io.ucp.formats.Finding;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TensorEntry;
import io.ucp.io.PlainFile;
import io.ucp.layout.Agreement;
import io.ucp.layout.Replica;
import io.ucp.mesh.Mesh;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;

final class AssemblerTest {
    private static final Shape SQUARE = Shape.of(2, 2);

    @TempDir private Path folder;

    private PlainFile file = new PlainFile(Path.of("unset"), 0);

    /// Holds the numbers 0, 1, 2, .. 63.
    @BeforeEach
    void write() throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < 64; k++) {
            bytes.putFloat(k);
        }
        file = new PlainFile(folder.resolve("numbers"), bytes.capacity());
        Files.write(file.path(), bytes.array());
    }

    @Test
    void namesWhatTheSpecDrops() throws IOException {
        Sharding sharding =
                new Sharding(
                        Mesh.of(),
                        List.of(bound("a", Map.of(), "tp 0")),
                        Map.of(),
                        Map.of("b", "line 3: drop \"b\""),
                        List.of());

        Inventory inventory =
                Assembler.assemble(
                        index(List.of(weight("a", 0), weight("b", 4)), List.of()), sharding, "");

        assertThat(inventory.findings())
                .containsExactly(new Finding("line 3: drop \"b\"", "left out with all states: b"));
    }

    @Test
    void castsTheStatesThatTheSpecCasts() throws IOException {
        Inventory inventory =
                Assembler.assemble(
                        index(List.of(weight("a", 0)), List.of()),
                        sharding(bound("a", Map.of("weight", DType.BFLOAT16), "tp 0")),
                        "");

        Parameter a = inventory.parameters().getFirst();
        assertThat(a.facts().states()).containsEntry("weight", DType.BFLOAT16);
        assertThat(a.states().get("weight"))
                .extracting(StateHolding::dtype)
                .isEqualTo(DType.FLOAT32);
    }

    @Test
    void joinsAShardThatSeveralTensorsHold() throws IOException {
        HeldTensor second = row(4, 2);
        HeldTensor first = row(8, 0);

        Inventory inventory =
                Assembler.assemble(
                        index(List.of(second, first), List.of()),
                        sharding(bound("a", Map.of(), "tp 0")),
                        "");

        assertThat(inventory.parameters().getFirst().states().get("weight"))
                .satisfies(s -> assertThat(s.copies()).hasSize(1));
        assertThat(values(inventory, "a", "weight")).containsExactly(8, 9, 4, 5);
    }

    @Test
    void missesThePartOfAShardThatNoTensorHolds() {
        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(List.of(row(8, 0)), List.of()),
                                        sharding(bound("a", Map.of(), "tp 0")),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("2 elements; expected 4");
    }

    /// Two elements of `a`, those of the file from number `at` on.
    private HeldTensor row(long at, long from) {
        TensorEntry row = TensorEntry.dense(file, 4 * at, DType.FLOAT32, Shape.of(2));
        return new HeldTensor("a", "weight", Coordinate.of("tp", 0), row, SQUARE, from);
    }

    @Test
    void findsElementsOfAFlatTensorThatIsNotDense() throws IOException {
        TensorEntry everySecond =
                new TensorEntry(file, 0, DType.FLOAT32, Shape.of(8), new long[] {2});
        FlatGroup group =
                group(
                        0,
                        Map.of("fp32", everySecond),
                        new FlatGroup.Member("a", SQUARE),
                        new FlatGroup.Member("b", SQUARE));

        Inventory inventory =
                Assembler.assemble(
                        index(List.of(), List.of(group)),
                        sharding(bound("a", Map.of(), "tp 0"), bound("b", Map.of(), "tp 0")),
                        "");

        assertThat(values(inventory, "a", "fp32")).containsExactly(0, 2, 4, 6);
        assertThat(values(inventory, "b", "fp32")).containsExactly(8, 10, 12, 14);
    }

    @Test
    void aStateWithALayoutOfItsOwnHasItsOwnCopies() throws IOException {
        Map<String, TensorEntry> states = Map.of("fp32", dense(0), "exp_avg", dense(4));
        FlatGroup.Member a = new FlatGroup.Member("a", SQUARE);
        BoundParameter common = bound("a", Map.of(), "tp 0", "tp 1");
        StateLayout averaged =
                new StateLayout(
                        common.shards(),
                        List.of(new Replica("tp 0", 0, 0), new Replica("tp 1", 0, 1)));

        Inventory inventory =
                Assembler.assemble(
                        index(List.of(), List.of(group(0, states, a), group(1, states, a))),
                        sharding(with(common, Map.of("exp_avg", averaged))),
                        "");

        Map<String, StateHolding> held = inventory.parameters().getFirst().states();
        assertThat(held.get("fp32")).extracting(StateHolding::agreement).isEqualTo(Agreement.EQUAL);
        assertThat(held.get("exp_avg"))
                .extracting(StateHolding::agreement)
                .isEqualTo(Agreement.AVERAGE);
        assertThat(inventory.findings())
                .containsExactly(
                        new Finding(
                                "average",
                                "the value is the mean of copies, which are not given back: exp_avg"
                                        + " of a"));
    }

    @Test
    void refusesAStateThatIsHeldWhereItsLayoutHasNone() {
        Map<String, TensorEntry> states = Map.of("fp32", dense(0), "exp_avg", dense(4));
        FlatGroup.Member a = new FlatGroup.Member("a", SQUARE);
        BoundParameter common = bound("a", Map.of(), "tp 0", "tp 1");
        StateLayout once =
                new StateLayout(
                        List.of(common.shards().getFirst()), List.of(Replica.equal("tp 0")));

        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(
                                                List.of(),
                                                List.of(group(0, states, a), group(1, states, a))),
                                        sharding(with(common, Map.of("exp_avg", once))),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a: exp_avg at tp 1: held there; expected only where");
    }

    private static BoundParameter with(BoundParameter p, Map<String, StateLayout> own) {
        return new BoundParameter(
                p.name(),
                p.shape(),
                p.realShape(),
                p.split(),
                p.shards(),
                p.copies(),
                own,
                p.frozen(),
                p.casts(),
                p.aliases(),
                p.rule());
    }

    @Test
    void refusesAReplicaThatLacksAState() {
        FlatGroup first =
                group(
                        0,
                        Map.of("fp32", dense(0), "exp_avg", dense(4)),
                        new FlatGroup.Member("a", SQUARE));
        FlatGroup second = group(1, Map.of("fp32", dense(0)), new FlatGroup.Member("a", SQUARE));

        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(List.of(), List.of(first, second)),
                                        sharding(bound("a", Map.of(), "tp 0", "tp 1")),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a: exp_avg")
                .hasMessageContaining("none at tp 1");
    }

    @Test
    void refusesARankOfAStageThatLacksTheWeightOfTheOthers() {
        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(
                                                List.of(weightAt(0, 0)),
                                                List.of(trained(0, 0, 0, 4), trained(0, 1, 0, 4))),
                                        sharding(replicated("a", at(0, 0), at(0, 1))),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a: weight: none at pp 0, tp 1")
                .hasMessageContaining("a replica of what is held at pp 0, tp 0");
    }

    @Test
    void takesTheWeightOfATiedStageThatAnotherStageDoesNotKeep() throws IOException {
        Inventory inventory =
                Assembler.assemble(
                        index(
                                List.of(weightAt(0, 0)),
                                List.of(trained(0, 0, 0, 4), trained(1, 0, 0, 4))),
                        sharding(replicated("a", at(0, 0), at(1, 0))),
                        "");

        Map<String, StateHolding> states = inventory.parameters().getFirst().states();
        assertThat(states).hasEntrySatisfying("weight", s -> assertThat(s.copies()).hasSize(1));
        assertThat(states).hasEntrySatisfying("fp32", s -> assertThat(s.copies()).hasSize(2));
    }

    @Test
    void refusesARankOfAStageThatIsNotTrainedWhereTheOthersAre() {
        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(
                                                List.of(weightAt(0, 0), weightAt(0, 1)),
                                                List.of(trained(0, 0, 0, 4))),
                                        sharding(replicated("a", at(0, 0), at(0, 1))),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("a: fp32: none at pp 0, tp 1");
    }

    @Test
    void refusesRanksThatTrainAParameterInTwoOptimizerGroups() {
        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(
                                                List.of(),
                                                List.of(trained(0, 0, 0, 4), trained(0, 1, 1, 4))),
                                        sharding(replicated("a", at(0, 0), at(0, 1))),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(
                        "a: in optimizer group 0 at pp 0, tp 0 and in group 1 at pp 0, tp 1")
                .hasMessageContaining("one optimizer group on all ranks");
    }

    @Test
    void refusesARankThatLacksAScalarOfTheOthers() {
        FlatGroup step = withStep(trained(0, 0, 0, 4));

        assertThatThrownBy(
                        () ->
                                Assembler.assemble(
                                        index(List.of(), List.of(step, trained(0, 1, 0, 4))),
                                        sharding(replicated("a", at(0, 0), at(0, 1))),
                                        ""))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("and none at pp 0, tp 1");
    }

    @Test
    void comparesAliasesThatReadTheSameBytesInAnotherOrder() throws IOException {
        HeldTensor transposed =
                new HeldTensor(
                        "a",
                        "weight",
                        Coordinate.of("tp", 0),
                        new TensorEntry(file, 0, DType.FLOAT32, SQUARE, new long[] {1, 2}));

        Inventory inventory =
                Assembler.assemble(
                        index(List.of(weight("a", 0), transposed), List.of()),
                        sharding(bound("a", Map.of(), "tp 0")),
                        "");

        assertThat(
                        PlanExecutor.read(
                                        Planner.digests(inventory),
                                        Options.standard(),
                                        Progress.NONE)
                                .differences())
                .singleElement()
                .satisfies(d -> assertThat(d.elements()).isEqualTo(2));
    }

    private static Coordinate at(int pp, int tp) {
        return Coordinate.of("pp", pp).with("tp", tp);
    }

    /// The master of "a" in a flat group of its own.
    private FlatGroup trained(int pp, int tp, int optimizerGroup, int from) {
        return new FlatGroup(
                optimizerGroup,
                optimizerGroup,
                at(pp, tp),
                "dp",
                false,
                List.of(new FlatGroup.Member("a", SQUARE)),
                List.of(new FlatGroup.Part(at(pp, tp), 4, Map.of("fp32", dense(from)), Map.of())));
    }

    private TensorEntry dense(int from) {
        return TensorEntry.dense(file, from * 4L, DType.FLOAT32, SQUARE);
    }

    private static FlatGroup withStep(FlatGroup group) {
        FlatGroup.Part part = group.parts().getFirst();
        Scalar three = new Scalar(DType.UINT8, new byte[] {3});
        return new FlatGroup(
                group.number(),
                group.optimizerGroup(),
                group.at(),
                group.axis(),
                group.each(),
                group.members(),
                List.of(
                        new FlatGroup.Part(
                                part.at(),
                                part.partExtent(),
                                part.states(),
                                Map.of("step", three))));
    }

    private HeldTensor weightAt(int pp, int tp) {
        return new HeldTensor("a", "weight", at(pp, tp), dense(0));
    }

    private HeldTensor weight(String name, int from) {
        return new HeldTensor(name, "weight", Coordinate.of("tp", 0), dense(from));
    }

    private static FlatGroup group(
            int tp, Map<String, TensorEntry> states, FlatGroup.Member... members) {
        Coordinate at = Coordinate.of("tp", tp);
        long extent = 4L * members.length;
        return new FlatGroup(
                0,
                0,
                at,
                "dp",
                false,
                List.of(members),
                List.of(new FlatGroup.Part(at, extent, states, Map.of())));
    }

    /// Held whole by every rank, each a copy.
    private static BoundParameter bound(
            String name, Map<String, DType> casts, String... copyLabels) {
        Coordinate[] places =
                IntStream.range(0, copyLabels.length)
                        .mapToObj(k -> Coordinate.of("tp", k))
                        .toArray(Coordinate[]::new);
        return bound(name, casts, List.of(copyLabels), places);
    }

    private static BoundParameter replicated(String name, Coordinate... places) {
        return bound(name, Map.of(), Stream.of(places).map(Coordinate::toString).toList(), places);
    }

    private static BoundParameter bound(
            String name, Map<String, DType> casts, List<String> labels, Coordinate... places) {
        List<Shard> shards =
                IntStream.range(0, places.length)
                        .mapToObj(
                                k ->
                                        new Shard(
                                                name,
                                                places[k],
                                                SQUARE,
                                                List.of(Piece.whole(SQUARE)),
                                                k))
                        .toList();
        return new BoundParameter(
                name,
                SQUARE,
                SQUARE,
                ParameterFacts.Split.UNKNOWN,
                shards,
                labels.stream().map(Replica::equal).toList(),
                Map.of(),
                false,
                casts,
                List.of(),
                "line 1");
    }

    private static Sharding sharding(BoundParameter... parameters) {
        return new Sharding(Mesh.of(), List.of(parameters), Map.of(), Map.of(), List.of());
    }

    private static CheckpointIndex index(List<HeldTensor> tensors, List<FlatGroup> groups) {
        List<AxisDegree> mesh = List.of();
        return new CheckpointIndex(
                "deepspeed",
                Path.of("made-by-hand"),
                "global_step3",
                OptionalLong.of(3),
                1,
                mesh,
                tensors,
                groups,
                List.of(),
                new LayoutHints(
                        Optional.empty(),
                        List.of(),
                        OptionalLong.empty(),
                        Map.of(),
                        Set.of(),
                        Set.of(),
                        Map.of()),
                List.of(),
                new Origin("deepspeed", "global_step3", 1, mesh, Optional.empty()),
                List.of());
    }

    private int[] values(Inventory inventory, String name, String state) throws IOException {
        Elementwise whole =
                new Elementwise(
                        name, state, DType.FLOAT32, SQUARE.count(), List.of(Piece.whole(SQUARE)));
        Path out = Files.createDirectory(folder.resolve("out-" + name));
        PlanExecutor.execute(
                Planner.plan(
                        inventory,
                        List.of(
                                new TargetFile(
                                        "values",
                                        whole.size(),
                                        List.of(new TargetFile.Part.Elements(0, whole)),
                                        List.of(),
                                        Optional.empty()))),
                out,
                Options.standard(),
                Progress.NONE);
        ByteBuffer bytes =
                ByteBuffer.wrap(Files.readAllBytes(out.resolve("values")))
                        .order(ByteOrder.LITTLE_ENDIAN);
        int[] values = new int[(int) SQUARE.count()];
        for (int k = 0; k < values.length; k++) {
            values[k] = (int) bytes.getFloat(4 * k);
        }
        return values;
    }
}
