package io.ucp.execute;

import static io.ucp.plan.IndexedJob.STATE;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.Elementwise;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.ChecksumField;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.io.WindowAssembler;
import io.ucp.layout.Agreement;
import io.ucp.layout.Replica;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.IndexedJob;
import io.ucp.plan.IndexedJob.Layout;
import io.ucp.plan.IndexedJob.Tensor;
import io.ucp.plan.Planner;
import io.ucp.plan.Step;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;
import io.ucp.tensor.TensorDigest;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/// Plans are judged by running them on tensors whose values are their own index.
class PlanExecutorTest {
    private static final int[] BUFFERS = {1, 7, 64, 1000, 1 << 20};

    @TempDir Path folder;
    private Path in;
    private Path out;

    @BeforeEach
    void folders() throws IOException {
        in = Files.createDirectory(folder.resolve("in"));
        out = Files.createDirectory(folder.resolve("out"));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
    void everyElementArrivesWhateverTheLayouts(long seed) throws IOException {
        Random random = new Random(seed);
        for (int round = 0; round < 10; round++) {
            IndexedJob job = IndexedJob.random(random);
            Layout a = layout(job, random);
            Layout b = layout(job, random);
            Path from = Files.createDirectory(in.resolve("a" + round));
            Path to = Files.createDirectory(out.resolve("b" + round));
            Path back = Files.createDirectory(out.resolve("a" + round));
            IndexedJob.write(a, from);
            Inventory source = job.inventory(a, from, Agreement.EQUAL);
            ExecutionResult there =
                    PlanExecutor.execute(
                            Planner.plan(source, IndexedJob.targets(b)),
                            to,
                            options(random),
                            Progress.NONE);
            assertThat(IndexedJob.wrong(b, to)).isEmpty();
            assertThat(there.differences()).isEmpty();

            Inventory middle = job.inventory(b, to, Agreement.EQUAL);
            PlanExecutor.execute(
                    Planner.plan(middle, IndexedJob.targets(a)),
                    back,
                    options(random),
                    Progress.NONE);
            assertThat(IndexedJob.wrong(a, back)).isEmpty();

            ExecutionResult compared =
                    PlanExecutor.read(
                            Planner.compare(source, middle).plan(), options(random), Progress.NONE);
            assertThat(compared.differences()).isEmpty();
            Map<String, Map<String, String>> digests = digests(source, random);
            assertThat(digests(middle, random)).isEqualTo(digests);
            for (Tensor t : job.tensors()) {
                TensorDigest expected = new TensorDigest(t.real().count() * t.dtype().width());
                int size = Math.toIntExact(t.real().count() * t.dtype().width());
                expected.add(0, ByteBuffer.wrap(IndexedJob.wholeBytes(t), 0, size));
                assertThat(digests.get(t.name())).containsEntry(STATE, expected.toString());
            }
        }
    }

    private static Layout layout(IndexedJob job, Random random) {
        return random.nextInt(4) == 0
                ? job.whole()
                : job.sharded(random, 1 + random.nextInt(3), 1 + random.nextInt(4));
    }

    private static Options options(Random random) {
        return Options.standard()
                .withThreads(1 + random.nextInt(3))
                .withBufferBytes(BUFFERS[random.nextInt(BUFFERS.length)])
                .withOpenSources(1 + random.nextInt(5));
    }

    private static Map<String, Map<String, String>> digests(Inventory source, Random random)
            throws IOException {
        return PlanExecutor.read(Planner.digests(source), options(random), Progress.NONE).digests();
    }

    @Test
    void aColumnPaddedTensorIsDigestedWithoutItsPadding() throws IOException {
        Tensor padded = new Tensor("w", Shape.of(7, 5), Shape.of(6, 3), DType.BFLOAT16);
        IndexedJob job = new IndexedJob(List.of(padded));
        IndexedJob.write(job.whole(), in);
        byte[] whole = IndexedJob.wholeBytes(padded);
        TensorDigest expected = new TensorDigest(6 * 3 * 2);
        for (int row = 0; row < 6; row++) {
            expected.add(row * 6L, ByteBuffer.wrap(whole, row * 10, 6));
        }
        Inventory source = job.inventory(job.whole(), in, Agreement.EQUAL);
        assertThat(digests(source, new Random(1)).get("w"))
                .containsEntry(STATE, expected.toString());
    }

    @Test
    void everyByteIsReadOnceAndWrittenOnce() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 64, 96);
        Layout ranks = columns(job, 4, 1);
        IndexedJob.write(ranks, in);
        CopyPlan plan =
                Planner.plan(
                        job.inventory(ranks, in, Agreement.EQUAL), IndexedJob.targets(job.whole()));
        AtomicLong seen = new AtomicLong();
        ExecutionResult result =
                PlanExecutor.execute(
                        plan,
                        out,
                        Options.standard().withBufferBytes(1000),
                        (done, total) -> {
                            assertThat(total).isEqualTo(64 + 64 * 96 * 4);
                            seen.accumulateAndGet(done, Math::max);
                        });
        assertThat(result.counts())
                .isEqualTo(
                        new ExecutionResult.Counts(64 * 96 * 4, 64 + 64 * 96 * 4, 0, 0, 4, 1, 25));
        assertThat(seen).hasValue(plan.size());
    }

    /// Column shards of a matrix, in files; each `copies` times.
    private static Layout columns(IndexedJob job, int ranks, int copies) {
        Tensor t = job.tensors().getFirst();
        long rows = t.shape().dim(0);
        long width = t.shape().dim(1) / ranks;
        List<IndexedJob.RankFile> files = new ArrayList<>();
        for (int c = 0; c < copies; c++) {
            for (int r = 0; r < ranks; r++) {
                Piece piece =
                        Piece.box(t.shape(), new long[] {0, r * width}, new long[] {rows, width});
                files.add(
                        new IndexedJob.RankFile(
                                "c%d_r%d.bin".formatted(c, r),
                                8 + rows * width * t.dtype().width(),
                                List.of(
                                        new IndexedJob.Held(
                                                t, c, 8, rows * width, List.of(piece)))));
            }
        }
        return new Layout(files, Map.of(t.name(), copies));
    }

    /// It lies in one window, but is more than is summed at once.
    @Test
    void aTransposedTensorIsReadOnce() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 300, 700);
        Tensor w = job.tensors().getFirst();
        IndexedJob.write(job.whole(), in);
        Piece turned =
                Piece.of(w.shape().dims(), new long[2], w.shape().dims(), 0, new long[] {1, 300});
        Layout layout =
                new Layout(
                        List.of(
                                new IndexedJob.RankFile(
                                        "turned",
                                        300 * 700 * 4,
                                        List.of(
                                                new IndexedJob.Held(
                                                        w, 0, 0, 300 * 700, List.of(turned))))),
                        Map.of("w", 1));
        ExecutionResult result =
                PlanExecutor.execute(
                        Planner.plan(
                                job.inventory(job.whole(), in, Agreement.EQUAL),
                                IndexedJob.targets(layout)),
                        out,
                        Options.standard(),
                        Progress.NONE);
        assertThat(IndexedJob.wrong(layout, out)).isEmpty();
        assertThat(result.counts().bytesRead()).isEqualTo(300 * 700 * 4);
    }

    @Test
    void aReplicaThatDiffersIsMeasured() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 8, 8);
        Layout ranks = columns(job, 2, 3);
        for (IndexedJob.RankFile file : ranks.files()) {
            ByteBuffer bytes = ByteBuffer.allocate(8 + 8 * 4 * 4).order(ByteOrder.LITTLE_ENDIAN);
            for (int k = 0; k < 32; k++) {
                bytes.putFloat(8 + 4 * k, k);
            }
            if (file.path().equals("c2_r1.bin")) {
                bytes.putFloat(8 + 4 * 9, 9.5f).putFloat(8 + 4 * 20, 22);
            }
            Files.write(in.resolve(file.path()), bytes.array());
        }
        for (Agreement agreement : List.of(Agreement.EQUAL, Agreement.FIRST)) {
            CopyPlan plan = Planner.digests(job.inventory(ranks, in, agreement));
            for (int buffer : BUFFERS) {
                ExecutionResult result =
                        PlanExecutor.read(
                                plan, Options.standard().withBufferBytes(buffer), Progress.NONE);
                assertThat(result.differences())
                        .singleElement()
                        .satisfies(
                                d -> {
                                    assertThat(d.parameter()).isEqualTo("w");
                                    assertThat(d.firstCopy()).isEqualTo("tp 0");
                                    assertThat(d.otherCopy()).isEqualTo("tp 2");
                                    assertThat(d.rule().name()).isEqualTo(agreement.name());
                                    assertThat(d.elements()).isEqualTo(2);
                                    assertThat(d.first()).isEqualTo(2 * 8 + 5);
                                    assertThat(d.largest()).hasValue(2.0);
                                });
                assertThat(result.counts().bytesRead()).isEqualTo(3 * 8 * 8 * 4);
            }
        }
    }

    @Test
    void twoCheckpointsThatDifferInABitAreToldApart() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.INT64, 8, 8);
        Layout a = columns(job, 2, 1);
        IndexedJob.write(a, in);
        IndexedJob.write(job.whole(), out);
        byte[] bytes = Files.readAllBytes(out.resolve("w"));
        bytes[64 + 8 * 43 + 2] ^= 16;
        Files.write(out.resolve("w"), bytes);
        Inventory first = job.inventory(a, in, Agreement.EQUAL);
        Inventory second = job.inventory(job.whole(), out, Agreement.EQUAL);
        ExecutionResult result =
                PlanExecutor.read(
                        Planner.compare(first, second).plan(),
                        Options.standard().withBufferBytes(40),
                        Progress.NONE);
        assertThat(result.differences())
                .singleElement()
                .satisfies(
                        d -> {
                            assertThat(d.firstCopy()).isEqualTo("first");
                            assertThat(d.otherCopy()).isEqualTo("second");
                            assertThat(d.elements()).isEqualTo(1);
                            assertThat(d.first()).isEqualTo(43);
                            assertThat(d.largest()).isEmpty();
                        });
    }

    @Test
    void averagesAreTakenInDoublePrecisionAndRoundedOnce() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 3);
        float[][] copies = {{1, 0x1.0p-149f, 1}, {2, 0, 1}, {4, 0, 0x1.000006p0f}};
        List<Copy> held = new ArrayList<>();
        for (int c = 0; c < 3; c++) {
            ByteBuffer bytes = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN);
            for (float f : copies[c]) {
                bytes.putFloat(f);
            }
            Path path = Files.write(in.resolve("c" + c), bytes.array());
            held.add(new Copy("tp " + c, List.of(whole(PlainFile.of(path), DType.FLOAT32, 3))));
        }
        Inventory source =
                IndexedJob.inventory(
                        List.of(
                                new Parameter(
                                        job.tensors().getFirst().facts(),
                                        Map.of(
                                                STATE,
                                                StateHolding.of(
                                                        DType.FLOAT32, held, Agreement.AVERAGE)))));
        for (DType dtype : List.of(DType.FLOAT32, DType.BFLOAT16, DType.FLOAT64)) {
            Path target = out.resolve(dtype.torchName());
            execute(source, file(dtype.torchName(), dtype, 3));
            byte[] got = Files.readAllBytes(target);
            ByteBuffer expected = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
            Floats.put(dtype, expected, 0, 7 / 3.0);
            Floats.put(dtype, expected, dtype.width(), 0x1.0p-149 / 3);
            Floats.put(dtype, expected, 2 * dtype.width(), (2 + 0x1.000006p0) / 3);
            assertThat(got).isEqualTo(Arrays.copyOf(expected.array(), got.length));
        }
    }

    /// What the copies of a state of 300 elements, each of one number, come to.
    private ExecutionResult copies(DType to, int buffer, List<Replica> replicas, float... numbers)
            throws IOException {
        int count = 300;
        List<Copy> held = new ArrayList<>();
        for (int c = 0; c < numbers.length; c++) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * count).order(ByteOrder.LITTLE_ENDIAN);
            for (int k = 0; k < count; k++) {
                bytes.putFloat(numbers[c]);
            }
            Path path = Files.write(in.resolve("c" + c), bytes.array());
            held.add(
                    new Copy(
                            replicas.get(c),
                            List.of(whole(PlainFile.of(path), DType.FLOAT32, count))));
        }
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, count);
        Inventory source =
                IndexedJob.inventory(
                        List.of(
                                new Parameter(
                                        job.tensors().getFirst().facts(),
                                        Map.of(STATE, new StateHolding(DType.FLOAT32, held)))));
        CopyPlan plan = Planner.plan(source, List.of(file("w" + buffer, to, count)));
        Files.deleteIfExists(out.resolve("w" + buffer));
        return PlanExecutor.execute(
                plan, out, Options.standard().withBufferBytes(buffer), Progress.NONE);
    }

    private static List<Replica> grid(boolean averaged) {
        return List.of(
                new Replica("pp 0, tp 0", 0, 0),
                new Replica("pp 1, tp 0", 1, 0),
                new Replica("pp 0, tp 1", 0, averaged ? 1 : 0),
                new Replica("pp 1, tp 1", 1, averaged ? 1 : 0));
    }

    private static List<String> lines(ExecutionResult result) {
        return result.differences().stream()
                .map(d -> d.rule() + " " + d.firstCopy() + " | " + d.otherCopy())
                .toList();
    }

    private float written(int buffer, DType dtype) throws IOException {
        byte[] bytes = Files.readAllBytes(out.resolve("w" + buffer));
        ByteBuffer buffered = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 1; k < 300; k++) {
            assertThat(Floats.get(dtype, buffered, k * dtype.width()))
                    .isEqualTo(Floats.get(dtype, buffered, 0));
        }
        return (float) Floats.get(dtype, buffered, 0);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 64, 1000, 1 << 20})
    void copiesThatMayDifferOnOneAxisMustBeEqualOnTheOther(int buffer) throws IOException {
        for (DType to : List.of(DType.FLOAT32, DType.BFLOAT16)) {
            assertThat(lines(copies(to, buffer, grid(false), 3, 5, 3, 5)))
                    .containsExactly("FIRST pp 0, tp 0 | pp 1, tp 0");
            assertThat(written(buffer, to)).isEqualTo(3);
            assertThat(lines(copies(to, buffer, grid(false), 3, 3, 4, 3)))
                    .containsExactly("EQUAL pp 0, tp 0 | pp 0, tp 1");
            assertThat(lines(copies(to, buffer, grid(false), 3, 5, 3, 6)))
                    .containsExactly(
                            "FIRST pp 0, tp 0 | pp 1, tp 0", "EQUAL pp 1, tp 0 | pp 1, tp 1");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 64, 1000, 1 << 20})
    void theMeanIsOfTheFirstAlternativeAlone(int buffer) throws IOException {
        for (DType to : List.of(DType.FLOAT32, DType.BFLOAT16)) {
            assertThat(lines(copies(to, buffer, grid(true), 3, 4, 5, 7)))
                    .containsExactly("FIRST the mean | pp 1, tp 1");
            assertThat(written(buffer, to)).isEqualTo(4);
        }
        List<Replica> equalStages =
                grid(true).stream().map(r -> new Replica(r.label(), 0, r.summand())).toList();
        assertThat(lines(copies(DType.FLOAT32, buffer, equalStages, 3, 3, 5, 6)))
                .containsExactly("EQUAL pp 0, tp 1 | pp 1, tp 1");
        assertThat(written(buffer, DType.FLOAT32)).isEqualTo(4);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 64, 1000})
    void castsRoundEveryElementToTheNearest(int buffer) throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 10, 10);
        Layout ranks = columns(job, 2, 2);
        Random random = new Random(3);
        float[] values = new float[100];
        for (int k = 0; k < 100; k++) {
            values[k] = k == 17 ? Float.NaN : (float) random.nextGaussian();
        }
        for (IndexedJob.RankFile file : ranks.files()) {
            ByteBuffer bytes = ByteBuffer.allocate(8 + 200).order(ByteOrder.LITTLE_ENDIAN);
            int first = file.path().endsWith("r0.bin") ? 0 : 5;
            for (int k = 0; k < 50; k++) {
                bytes.putFloat(8 + 4 * k, values[k / 5 * 10 + first + k % 5]);
            }
            Files.write(in.resolve(file.path()), bytes.array());
        }
        Inventory source = job.inventory(ranks, in, Agreement.EQUAL);
        for (DType dtype : List.of(DType.BFLOAT16, DType.FLOAT16, DType.FLOAT64)) {
            Path target = out.resolve(dtype.torchName());
            ExecutionResult result =
                    PlanExecutor.execute(
                            Planner.plan(source, List.of(file(dtype.torchName(), dtype, 10, 10))),
                            out,
                            Options.standard().withBufferBytes(buffer),
                            Progress.NONE);
            assertThat(result.differences()).isEmpty();
            ByteBuffer got = read(target);
            ByteBuffer expected =
                    ByteBuffer.allocate(100 * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
            for (int k = 0; k < 100; k++) {
                Floats.put(dtype, expected, k * dtype.width(), values[k]);
            }
            assertThat(got).isEqualTo(expected);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 64, 1 << 20})
    void aTransposedSourceIsFollowed(int buffer) throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 9, 7).tensors().getFirst();
        ByteBuffer bytes = ByteBuffer.allocate(9 * 7 * 4).order(ByteOrder.LITTLE_ENDIAN);
        for (int row = 0; row < 9; row++) {
            for (int column = 0; column < 7; column++) {
                IndexedJob.put(bytes, (column * 9 + row) * 4, t, row * 7 + column);
            }
        }
        Path path = Files.write(in.resolve("t"), bytes.array());
        Piece lying = Piece.whole(t.shape()).lying(t.shape(), new long[] {1, 9});
        Fragment fragment = new Fragment(PlainFile.of(path), 0, DType.FLOAT32, lying);
        Inventory source = source(t, List.of(fragment));
        PlanExecutor.execute(
                Planner.plan(source, List.of(file("t", DType.FLOAT32, 9, 7))),
                out,
                Options.standard().withBufferBytes(buffer),
                Progress.NONE);
        assertThat(Files.readAllBytes(out.resolve("t"))).isEqualTo(IndexedJob.wholeBytes(t));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 64, 1 << 20})
    void checksumFieldsAreFilledIn(int buffer) throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 50).tensors().getFirst();
        Path path = Files.write(in.resolve("w"), IndexedJob.wholeBytes(t));
        Path extra = Files.write(in.resolve("extra"), new byte[] {9, 8, 7, 6, 5, 4});
        Inventory source = source(t, List.of(whole(PlainFile.of(path), DType.FLOAT32, 50)));
        Elementwise of =
                new Elementwise("w", STATE, DType.FLOAT32, 50, List.of(Piece.whole(t.shape())));
        TargetFile file =
                new TargetFile(
                        "a.zip",
                        10 + 200 + 3 + 20,
                        List.of(
                                new Part.Literal(0, new byte[10]),
                                new Part.Elements(10, of),
                                new Part.Copied(210, PlainFile.of(extra), 2, 3),
                                new Part.Zeros(213, 20)),
                        List.of(
                                new ChecksumField(10, 200, List.of(2L, 213L)),
                                new ChecksumField(210, 3, List.of(217L)),
                                new ChecksumField(210, 0, List.of(221L))),
                        Optional.empty());
        ExecutionResult result =
                PlanExecutor.execute(
                        Planner.plan(source, List.of(file)),
                        out,
                        Options.standard().withBufferBytes(buffer).withSync(true),
                        Progress.NONE);
        byte[] bytes = Files.readAllBytes(out.resolve("a.zip"));
        ByteBuffer got = read(out.resolve("a.zip"));
        assertThat(got.getInt(2)).isEqualTo(crc(bytes, 10, 200)).isEqualTo(got.getInt(213));
        assertThat(got.getInt(217)).isEqualTo(crc(new byte[] {7, 6, 5}, 0, 3));
        assertThat(got.getInt(221)).isZero();
        assertThat(Arrays.copyOfRange(bytes, 210, 213)).containsExactly(7, 6, 5);
        assertThat(result.counts().bytesWritten()).isEqualTo(233);
    }

    private static int crc(byte[] bytes, int from, int size) {
        CRC32 crc = new CRC32();
        crc.update(bytes, from, size);
        return (int) crc.getValue();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void compressedWindowsAreWrittenInOrder(int threads) throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 1000).tensors().getFirst();
        Path path = Files.write(in.resolve("w"), IndexedJob.wholeBytes(t));
        Inventory source = source(t, List.of(whole(PlainFile.of(path), DType.FLOAT32, 1000)));
        Elementwise of =
                new Elementwise("w", STATE, DType.FLOAT32, 1000, List.of(Piece.whole(t.shape())));
        TargetFile file =
                new TargetFile(
                        "w.arrow",
                        4000,
                        List.of(new Part.Elements(0, of)),
                        List.of(),
                        Optional.of(new Numbered(4000, 36)));
        PlanExecutor.execute(
                Planner.plan(source, List.of(file)),
                out,
                Options.standard().withThreads(threads).withBufferBytes(8),
                Progress.NONE);
        ByteBuffer got = read(out.resolve("w.arrow"));
        byte[] raw = IndexedJob.wholeBytes(t);
        for (int window = 0; window < 112; window++) {
            int size = Math.min(36, 4000 - window * 36);
            assertThat(got.getInt()).isEqualTo(window);
            byte[] part = new byte[size];
            got.get(part);
            assertThat(part).isEqualTo(Arrays.copyOfRange(raw, window * 36, window * 36 + size));
        }
        for (int window = 0; window < 111; window++) {
            assertThat(got.getLong()).isEqualTo(40);
        }
        assertThat(got.getLong()).isEqualTo(4000 - 111 * 36 + 4);
        assertThat(got.hasRemaining()).isFalse();
    }

    @Test
    void anEmptyCompressedWindowIsEncodedToo() throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 0).tensors().getFirst();
        Elementwise of =
                new Elementwise("w", STATE, DType.FLOAT32, 0, List.of(Piece.whole(t.shape())));
        TargetFile file =
                new TargetFile(
                        "w.arrow",
                        0,
                        List.of(new Part.Elements(0, of)),
                        List.of(),
                        Optional.of(new Numbered(0, 36)));
        execute(source(t, List.of()), file);
        ByteBuffer got = read(out.resolve("w.arrow"));
        assertThat(got.getInt()).isZero();
        assertThat(got.getLong()).isEqualTo(4);
        assertThat(got.hasRemaining()).isFalse();
    }

    /// "Compresses" by putting the window's number before it; ends with the sizes.
    private record Numbered(long size, long window) implements WindowAssembler {
        @Override
        public List<Long> cuts() {
            List<Long> cuts = new ArrayList<>();
            for (long at = window; at < size; at += window) {
                cuts.add(at);
            }
            cuts.add(size);
            return cuts;
        }

        @Override
        public Encoder encoder() {
            return (number, raw) ->
                    ByteBuffer.allocate(raw.remaining() + 4)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .putInt(number)
                            .put(raw)
                            .flip();
        }

        @Override
        public boolean decode(int number, ByteBuffer encoded, ByteBuffer raw) {
            if (encoded.order(ByteOrder.LITTLE_ENDIAN).getInt(0) != number) {
                return false;
            }
            raw.put(encoded.slice(4, encoded.remaining() - 4));
            return true;
        }

        @Override
        public ByteBuffer epilogue(long[] sizes) {
            ByteBuffer out = ByteBuffer.allocate(8 * sizes.length).order(ByteOrder.LITTLE_ENDIAN);
            for (long size : sizes) {
                out.putLong(size);
            }
            return out.flip();
        }
    }

    @Test
    void aTruncatedSourceIsNamedWithItsEnd() throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 1000).tensors().getFirst();
        Path path = Files.write(in.resolve("short.pt"), new byte[3999]);
        Inventory source = source(t, List.of(whole(PlainFile.of(path), DType.FLOAT32, 1000)));
        assertThatThrownBy(() -> execute(source, file("w", DType.FLOAT32, 1000)))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("short.pt at byte 3999: the file ends here");
    }

    @Test
    void aVanishedSourceIsNamedAndStopsAllWorkers() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 64, 64);
        Layout ranks = columns(job, 64, 1);
        IndexedJob.write(ranks, in);
        Inventory source = job.inventory(ranks, in, Agreement.EQUAL);
        Files.delete(in.resolve("c0_r40.bin"));
        Leader leader = new Leader(3);
        Options options = Options.standard().withThreads(3).withCancelled(leader::goesAlone);
        assertThatThrownBy(
                        () ->
                                PlanExecutor.execute(
                                        Planner.plan(source, IndexedJob.targets(ranks)),
                                        out,
                                        options,
                                        Progress.NONE))
                .isInstanceOf(NoSuchFileException.class)
                .hasMessageContaining("c0_r40.bin");
        for (int rank = 41; rank < 64; rank++) {
            assertThat(out.resolve("c0_r%d.bin".formatted(rank))).doesNotExist();
        }
    }

    /// The first of some workers to ask goes on when each has claimed a target; the others wait
    /// until it is no worker any more.
    private record Leader(CountDownLatch claiming, AtomicReference<@Nullable Thread> first) {
        Leader(int workers) {
            this(new CountDownLatch(workers), new AtomicReference<>());
        }

        /// Never cancels.
        boolean goesAlone() {
            claiming.countDown();
            Thread asking = Thread.currentThread();
            Thread leading = first.compareAndExchange(null, asking);
            if (leading == null || leading == asking) {
                awaitAll();
            } else {
                while (works(leading)) {
                    Thread.onSpinWait();
                }
            }
            return false;
        }

        private void awaitAll() {
            try {
                claiming.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }

        private static boolean works(Thread thread) {
            return Stream.of(thread.getStackTrace())
                    .anyMatch(frame -> frame.getClassName().equals(PlanExecutor.class.getName()));
        }
    }

    @Test
    void aTargetThatExistsOrLiesOutsideIsNotTouched() throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 4).tensors().getFirst();
        Path path = Files.write(in.resolve("w"), new byte[16]);
        Inventory source = source(t, List.of(whole(PlainFile.of(path), DType.FLOAT32, 4)));
        Files.writeString(out.resolve("w"), "mine");
        assertThatThrownBy(() -> execute(source, file("w", DType.FLOAT32, 4)))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThat(out.resolve("w")).hasContent("mine");
        assertThatThrownBy(() -> execute(source, file("../escaped", DType.FLOAT32, 4)))
                .hasMessageContaining("`../escaped` is outside the output folder");
        assertThat(folder.resolve("escaped")).doesNotExist();
    }

    @Test
    void cancellingStopsBeforeTheNextWindow() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 64, 64);
        Layout ranks = columns(job, 4, 1);
        IndexedJob.write(ranks, in);
        AtomicInteger windows = new AtomicInteger();
        Options options =
                Options.standard()
                        .withThreads(2)
                        .withBufferBytes(64)
                        .withCancelled(() -> windows.get() >= 10);
        assertThatThrownBy(
                        () ->
                                PlanExecutor.execute(
                                        Planner.plan(
                                                job.inventory(ranks, in, Agreement.EQUAL),
                                                IndexedJob.targets(job.whole())),
                                        out,
                                        options,
                                        (_, _) -> windows.incrementAndGet()))
                .isInstanceOf(CancellationException.class);
        assertThat(windows.get()).isBetween(10, 12);
    }

    @Test
    void anInterruptStopsTheWork() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 64, 64);
        Layout ranks = columns(job, 4, 1);
        IndexedJob.write(ranks, in);
        CopyPlan plan = Planner.digests(job.inventory(ranks, in, Agreement.EQUAL));
        Thread caller = Thread.currentThread();
        AtomicInteger windows = new AtomicInteger();
        assertThatThrownBy(
                        () ->
                                PlanExecutor.read(
                                        plan,
                                        Options.standard().withThreads(1).withBufferBytes(16),
                                        (_, _) -> {
                                            if (windows.incrementAndGet() == 3) {
                                                caller.interrupt();
                                                waitUntilNoticed(caller);
                                            }
                                        }))
                .isInstanceOf(CancellationException.class);
        assertThat(Thread.interrupted()).isTrue();
    }

    /// Until it has taken the interrupt and waits for the workers again.
    private static void waitUntilNoticed(Thread caller) {
        while (caller.isInterrupted() || caller.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
    }

    @Test
    void noMoreSourcesAreOpenThanAllowed() throws IOException {
        IndexedJob job = IndexedJob.of("w", DType.FLOAT32, 16, 512);
        Layout ranks = columns(job, 512, 1);
        IndexedJob.write(ranks, in);
        AtomicInteger open = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        Tensor t = job.tensors().getFirst();
        List<Fragment> fragments = new ArrayList<>();
        for (IndexedJob.RankFile file : ranks.files()) {
            IndexedJob.Held held = file.held().getFirst();
            ByteSource counted = new Counted(in.resolve(file.path()), file.size(), open, most);
            fragments.add(new Fragment(counted, 8, DType.FLOAT32, held.pieces().getFirst()));
        }
        PlanExecutor.execute(
                Planner.plan(source(t, fragments), IndexedJob.targets(job.whole())),
                out,
                Options.standard().withThreads(2).withOpenSources(20),
                Progress.NONE);
        assertThat(IndexedJob.wrong(job.whole(), out)).isEmpty();
        assertThat(most).hasValue(20);
        assertThat(open).hasValue(0);
    }

    private record Counted(Path path, long size, AtomicInteger held, AtomicInteger most)
            implements ByteSource {
        @Override
        public ByteReader open() throws IOException {
            ByteReader reader = new PlainFile(path, size).open();
            most.accumulateAndGet(held.incrementAndGet(), Math::max);
            return new ByteReader() {
                @Override
                public void read(long offset, ByteBuffer into) throws IOException {
                    reader.read(offset, into);
                }

                @Override
                public void close() throws IOException {
                    held.decrementAndGet();
                    reader.close();
                }
            };
        }
    }

    @Test
    void emptyTensorsAndFilesAreMade() throws IOException {
        Tensor t = IndexedJob.of("w", DType.FLOAT32, 0, 4).tensors().getFirst();
        Inventory source = source(t, List.of());
        ExecutionResult result = execute(source, file("w", DType.FLOAT32, 0, 4));
        assertThat(out.resolve("w")).isEmptyFile();
        assertThat(result.digests().get("w")).containsEntry(STATE, "0000000000000000");
    }

    private ExecutionResult execute(Inventory source, TargetFile file) throws IOException {
        CopyPlan plan = Planner.plan(source, List.of(file));
        assertThat(plan.targets().getFirst().steps().getFirst()).isInstanceOf(Step.Elements.class);
        return PlanExecutor.execute(plan, out, Options.standard(), Progress.NONE);
    }

    private static Fragment whole(ByteSource source, DType dtype, long... dims) {
        return new Fragment(source, 0, dtype, Piece.whole(Shape.of(dims)));
    }

    private static Inventory source(Tensor t, List<Fragment> fragments) {
        StateHolding holding =
                StateHolding.of(t.dtype(), List.of(new Copy("tp 0", fragments)), Agreement.EQUAL);
        return IndexedJob.inventory(List.of(new Parameter(t.facts(), Map.of(STATE, holding))));
    }

    private static TargetFile file(String path, DType dtype, long... dims) {
        Shape shape = Shape.of(dims);
        Elementwise of =
                new Elementwise("w", STATE, dtype, shape.count(), List.of(Piece.whole(shape)));
        return new TargetFile(
                path, of.size(), List.of(new Part.Elements(0, of)), List.of(), Optional.empty());
    }

    private static ByteBuffer read(Path path) throws IOException {
        return ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
    }
}
