import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchLayout;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.TorchStorage;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.ChecksumField;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/// Makes a Megatron-DeepSpeed LLaMA checkpoint of a chosen size: TP2·PP2·DP2, ZeRO-1 under
/// BF16_Optimizer, layer files with the bf16 weights. Everything that is no tensor of a parameter
/// (arguments, schedulers, RNG) is that of a real small checkpoint of the same layout, with the
/// sizes changed. Values are pseudo-random, replicas equal, weights the rounded fp32.
///
/// With `headers` in place of a size: TP8·PP16·DP32, 10^12 elements or a share of them, and holes
/// where the elements would be, of which files take no room. That can be planned, and no more.
///
/// ```
/// java -cp JARS CheckpointGenerator.java TEMPLATE OUT BYTES|headers[/SHARE]
/// java -cp JARS CheckpointGenerator.java samples/llama-tp2-pp2-dp2/checkpoint /tmp/ckpt 1073741824
/// ```
public final class CheckpointGenerator {
    private static final String TAG = "global_step3";

    /// Bytes that a parameter's element takes: fp32, two moments, bf16.
    private static final int ELEMENT = 14;

    private static final int BLOCK = 1 << 18;

    /// Of the template, for ranks that it lacks.
    private static final String MODEL = "mp_rank_00_model_states.pt";

    private static final String OPTIMIZER = "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt";

    private final Path template;
    private final Path folder;
    private final Model model;

    private CheckpointGenerator(Path template, Path folder, Model model) {
        this.template = template;
        this.folder = folder;
        this.model = model;
    }

    public static void main(String[] args) throws IOException {
        Path template = Path.of(args[0], TAG);
        Path root = Path.of(args[1]);
        String[] size = args[2].split("/");
        Model model =
                size[0].equals("headers")
                        ? Model.headers(size.length == 1 ? 1 : Integer.parseInt(size[1]))
                        : Model.of(Long.parseLong(args[2]));
        Path folder = Files.createDirectories(root.resolve(TAG));
        new CheckpointGenerator(template, folder, model).write();
        Files.writeString(root.resolve("latest"), TAG);
        Files.writeString(root.resolve("latest_checkpointed_iteration.txt"), "3");
        System.out.println(model);
    }

    /// The sizes of the model and the degrees it is trained at.
    ///
    /// @param filled whether the elements are written
    private record Model(
            long hidden,
            long ffn,
            long heads,
            int layers,
            long vocab,
            int tp,
            int pp,
            int dp,
            boolean filled) {
        /// Of 20,000 parameters and 10^12 elements, or a share of the layers.
        static Model headers(int share) {
            if (share < 1 || 3328 / 16 % share != 0) {
                throw new IllegalArgumentException(
                        "headers/%d; expected a divisor of the 208 layers of a stage"
                                .formatted(share));
            }
            return new Model(5120, 13312, 80, 3328 / share, 131072, 8, 16, 32, false);
        }

        /// The head and the embedding take about a quarter of it; the width of the MLP makes up the
        /// rest.
        static Model of(long bytes) {
            int tp = 2;
            int pp = 2;
            int dp = 2;
            long count = bytes / ELEMENT;
            long hidden = bytes < 1L << 30 ? 512 : bytes < 8L << 30 ? 2048 : 4096;
            long vocab = Math.max(256, Long.highestOneBit(count / 4 / (2 * hidden)));
            long rest = count - 2 * vocab * hidden;
            long usual = 12 * hidden * hidden;
            int layers = pp * (int) Math.max(1, rest / usual / pp);
            long ffn = ffn(rest, layers, hidden);
            if (ffn < 64) {
                throw new IllegalArgumentException(bytes + " bytes; expected 128 MiB or more");
            }
            return new Model(hidden, ffn, hidden / 64, layers, vocab, tp, pp, dp, true);
        }

        private static long ffn(long rest, int layers, long hidden) {
            return (rest / layers - 4 * hidden * hidden) / (3 * hidden) / 64 * 64;
        }

        /// As one tensor-parallel rank of a stage has them, in the model's order.
        List<Tensor> tensors(int stage) {
            List<Tensor> all = new ArrayList<>();
            if (stage == 0) {
                all.add(new Tensor("1.word_embeddings.weight", Shape.of(vocab / tp, hidden)));
            }
            for (int layer = layers / pp * stage; layer < layers / pp * (stage + 1); layer++) {
                String at = layer + 2 + ".";
                all.add(new Tensor(at + "input_layernorm.weight", Shape.of(hidden)));
                all.add(
                        new Tensor(
                                at + "self_attention.query_key_value.weight",
                                Shape.of(3 * hidden / tp, hidden)));
                all.add(
                        new Tensor(
                                at + "self_attention.dense.weight", Shape.of(hidden, hidden / tp)));
                all.add(new Tensor(at + "post_attention_layernorm.weight", Shape.of(hidden)));
                all.add(
                        new Tensor(
                                at + "mlp.dense_h_to_4h.weight", Shape.of(2 * ffn / tp, hidden)));
                all.add(new Tensor(at + "mlp.dense_4h_to_h.weight", Shape.of(hidden, ffn / tp)));
            }
            if (stage == pp - 1) {
                all.add(new Tensor(layers + 2 + ".weight", Shape.of(hidden)));
                all.add(new Tensor(layers + 3 + ".lm_head.weight", Shape.of(vocab / tp, hidden)));
            }
            return all;
        }
    }

    /// One rank's shard of a parameter.
    private record Tensor(String name, Shape shape) {
        /// Optimizer group: weight decay or none.
        int group() {
            return shape.rank() == 2 ? 0 : 1;
        }

        /// Of the shard's values; equal on all ranks where they are replicas.
        int seed(int tp) {
            return 31 * name.hashCode() + (shape.rank() == 2 ? tp + 1 : 0);
        }
    }

    private static List<List<Tensor>> groups(List<Tensor> tensors) {
        return List.of(
                tensors.stream().filter(t -> t.group() == 0).toList(),
                tensors.stream().filter(t -> t.group() == 1).toList());
    }

    /// Gives the bytes of a storage from byte `from` on, as many as fit.
    private interface Content {
        void fill(long from, ByteBuffer into);
    }

    /// A file being put together.
    private static final class Save {
        /// Larger storages are left out where elements are not written.
        private static final long SMALL = 1 << 16;

        private final boolean filled;
        private final SequencedMap<String, Content> contents = new LinkedHashMap<>();
        private final List<TorchStorage> storages = new ArrayList<>();

        Save(boolean filled) {
            this.filled = filled;
        }

        PyObject tensor(DType dtype, Shape shape, Content content) {
            String key = Integer.toString(storages.size());
            add(key, shape.count() * dtype.width(), content);
            return TensorPickles.write(TorchTensor.contiguous(dtype, shape, key));
        }

        void add(String key, long size, Content content) {
            storages.add(new TorchStorage(key, size));
            contents.put(key, content);
        }

        void write(Path file, PickleValue tree) throws IOException {
            String name = file.getFileName().toString();
            TorchLayout layout = TorchLayout.of(TorchLayout.rootOf(name), tree, storages);
            Map<Long, ChecksumField> fields = new TreeMap<>();
            layout.checksums().forEach(f -> fields.put(f.from(), f));
            try (FileChannel channel =
                    FileChannel.open(
                            file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                for (var literal : layout.literals()) {
                    put(channel, literal.offset(), ByteBuffer.wrap(literal.bytes()));
                }
                for (TorchStorage storage : storages) {
                    if (!filled && storage.size() > SMALL) {
                        continue;
                    }
                    long start = layout.storageOffset(storage.key());
                    int crc = copy(channel, start, storage);
                    ChecksumField field = fields.get(start);
                    for (long at : field == null ? List.<Long>of() : field.at()) {
                        ByteBuffer four = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
                        put(channel, at, four.putInt(0, crc));
                    }
                }
            }
        }

        private int copy(FileChannel channel, long start, TorchStorage storage) throws IOException {
            ByteBuffer block = ByteBuffer.allocateDirect(BLOCK).order(ByteOrder.LITTLE_ENDIAN);
            CRC32 crc = new CRC32();
            for (long at = 0; at < storage.size(); at += block.limit()) {
                block.clear().limit((int) Math.min(BLOCK, storage.size() - at));
                contents.get(storage.key()).fill(at, block);
                block.rewind();
                crc.update(block);
                block.rewind();
                put(channel, start + at, block);
            }
            return (int) crc.getValue();
        }

        private static void put(FileChannel channel, long offset, ByteBuffer bytes)
                throws IOException {
            long at = offset;
            while (bytes.hasRemaining()) {
                at += channel.write(bytes, at);
            }
        }
    }

    // ---- values ----

    /// The bits of a float of magnitude 2^-14 to 2^-6, of any sign for a positive `mask`.
    private static int bits(int seed, int index, int mask) {
        int h = index * 0x9e3779b1 + seed;
        h ^= h >>> 15;
        h *= 0x85ebca6b;
        h ^= h >>> 13;
        return (h & mask) | (113 + (h >>> 23 & 7)) << 23;
    }

    private static final List<String> STATES = List.of("fp32", "exp_avg", "exp_avg_sq");

    private static int seed(int shard, int state) {
        return shard + state * 0x51ed2701;
    }

    private static int mask(int state) {
        return STATES.get(state).equals("exp_avg_sq") ? 0x007fffff : 0x807fffff;
    }

    private static Content rounded(int shard) {
        return (from, into) -> {
            int first = (int) (from / 2);
            for (int k = 0; k < into.limit() / 2; k++) {
                int bits = bits(shard, first + k, mask(0));
                into.putShort(2 * k, (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16));
            }
        };
    }

    /// A shard's elements from `start` of a flat tensor on.
    private record Run(int seed, long start, long count) {}

    /// One rank's part of a flat group, which begins at element `base` of it.
    private static Content flat(List<Run> runs, int state, long base) {
        return (from, into) -> {
            long low = base + from / 4;
            long high = low + into.limit() / 4;
            for (Run run : runs) {
                long begin = Math.max(low, run.start());
                long end = Math.min(high, run.start() + run.count());
                int first = (int) (begin - run.start());
                int at = (int) (begin - low);
                for (int k = 0; k < end - begin; k++) {
                    into.putInt(
                            4 * (at + k), bits(seed(run.seed(), state), first + k, mask(state)));
                }
            }
        };
    }

    // ---- files ----

    private interface Job {
        void run() throws IOException;
    }

    private void write() {
        List<Job> jobs = new ArrayList<>();
        for (int stage = 0; stage < model.pp(); stage++) {
            for (int tp = 0; tp < model.tp(); tp++) {
                int pp = stage;
                int rank = tp;
                jobs.add(() -> modelStates(pp, rank));
                jobs.add(() -> layers(pp, rank));
                for (int dp = 0; dp < model.dp(); dp++) {
                    int part = dp;
                    jobs.add(() -> optimizer(pp, rank, part));
                }
            }
        }
        jobs.parallelStream()
                .forEach(
                        job -> {
                            try {
                                job.run();
                            } catch (IOException e) {
                                throw new UncheckedIOException(e);
                            }
                        });
    }

    private TorchFile template(String name, String other) throws IOException {
        Path own = template.resolve(name);
        return TorchFile.open(Files.exists(own) ? own : template.resolve(other));
    }

    private void modelStates(int stage, int tp) throws IOException {
        String name = "mp_rank_%02d_model_states.pt".formatted(stage * model.tp() + tp);
        TorchFile real = template(name, MODEL);
        Save save = new Save(model.filled());
        byte[] all = Files.readAllBytes(real.path());
        String data = real.root() + "/data/";
        for (TorchRecord record : real.records()) {
            if (record.name().startsWith(data)) {
                int start = (int) record.offset();
                save.add(
                        record.name().substring(data.length()),
                        record.size(),
                        (from, into) -> into.put(all, start + (int) from, into.limit()));
            }
        }
        List<PickleValue> shapes =
                groups(model.tensors(stage)).stream()
                        .<PickleValue>map(
                                group ->
                                        ordered(
                                                group,
                                                t ->
                                                        PyObject.call(
                                                                new PyGlobal("torch", "Size"),
                                                                PyTuple.of(sizes(t.shape())))))
                        .toList();
        PyDict root = (PyDict) real.tree();
        PyDict described = (PyDict) root.find("universal_checkpoint_info").orElseThrow();
        PyObject arguments = (PyObject) root.find("args").orElseThrow();
        PyDict numbers =
                arguments
                        .attributes()
                        .orElseThrow()
                        .with("tensor_model_parallel_size", PyInt.of(model.tp()))
                        .with("pipeline_model_parallel_size", PyInt.of(model.pp()))
                        .with("data_parallel_size", PyInt.of(model.dp()))
                        .with("world_size", PyInt.of(model.tp() * model.pp() * model.dp()))
                        .with("num_layers", PyInt.of(model.layers()))
                        .with("encoder_num_layers", PyInt.of(model.layers()))
                        .with("hidden_size", PyInt.of(model.hidden()))
                        .with("ffn_hidden_size", PyInt.of(model.ffn()))
                        .with("num_attention_heads", PyInt.of(model.heads()))
                        .with("num_key_value_heads", PyInt.of(model.heads()))
                        .with("kv_channels", PyInt.of(model.hidden() / model.heads()))
                        .with("padded_vocab_size", PyInt.of(model.vocab()));
        save.write(
                folder.resolve(name),
                root.with("param_shapes", PyList.of(shapes))
                        .with("mp_world_size", PyInt.of(model.tp() * model.pp()))
                        .with("dp_world_size", PyInt.of(model.dp()))
                        .with("checkpoint_parallel_dimensions", degrees())
                        .with("args", arguments.withState(numbers))
                        .with(
                                "universal_checkpoint_info",
                                described
                                        .with("original_vocab_size", PyInt.of(model.vocab() - 99))
                                        .with("padded_vocab_size", PyInt.of(model.vocab()))));
    }

    private PyDict degrees() {
        SequencedMap<String, PickleValue> degrees = new LinkedHashMap<>();
        degrees.put("pp_degree", PyInt.of(model.pp()));
        degrees.put("tp_degree", PyInt.of(model.tp()));
        return PyDict.of(degrees);
    }

    private void layers(int stage, int tp) throws IOException {
        Map<Integer, List<Tensor>> layers = new TreeMap<>();
        for (Tensor tensor : model.tensors(stage)) {
            int layer = Integer.parseInt(tensor.name().substring(0, tensor.name().indexOf('.')));
            layers.computeIfAbsent(layer, _ -> new ArrayList<>()).add(tensor);
        }
        for (var layer : layers.entrySet()) {
            Save save = new Save(model.filled());
            SequencedMap<String, PickleValue> items = new LinkedHashMap<>();
            for (Tensor tensor : layer.getValue()) {
                items.put(
                        tensor.name().substring(tensor.name().indexOf('.') + 1),
                        save.tensor(DType.BFLOAT16, tensor.shape(), rounded(tensor.seed(tp))));
            }
            String name = "layer_%02d-model_%02d-model_states.pt".formatted(layer.getKey(), tp);
            save.write(folder.resolve(name), PyObject.orderedDict(PyDict.of(items)));
        }
    }

    private void optimizer(int stage, int tp, int dp) throws IOException {
        String name =
                "bf16_zero_pp_rank_%d_mp_rank_%02d_optim_states.pt"
                        .formatted(dp, stage * model.tp() + tp);
        PyDict root = (PyDict) template(name, OPTIMIZER).tree();
        PyDict optimizer = (PyDict) root.find("optimizer_state_dict").orElseThrow();
        PyDict base = (PyDict) optimizer.find("base_optimizer_state").orElseThrow();
        Save save = new Save(model.filled());
        List<PyDict.Entry> states = new ArrayList<>();
        List<PickleValue> masters = new ArrayList<>();
        List<PickleValue> slices = new ArrayList<>();
        List<PickleValue> paddings = new ArrayList<>();
        List<PickleValue> counts = new ArrayList<>();
        List<List<Tensor>> groups = groups(model.tensors(stage));
        for (int g = 0; g < groups.size(); g++) {
            List<Run> runs = new ArrayList<>();
            long at = 0;
            for (Tensor tensor : groups.get(g)) {
                runs.add(new Run(tensor.seed(tp), at, tensor.shape().count()));
                at += tensor.shape().count();
            }
            // BF16_Optimizer aligns to twice the degree; these shapes need no padding for it.
            if (at % (2 * model.dp()) != 0) {
                throw new IllegalStateException("a group of " + at);
            }
            long part = at / model.dp();
            long from = part * dp;
            paddings.add(PyInt.of(0));
            counts.add(PyInt.of(model.dp()));
            Map<String, PickleValue> state = new LinkedHashMap<>();
            state.put(
                    "step",
                    save.tensor(DType.FLOAT32, Shape.of(), (_, into) -> into.putFloat(0, 3)));
            for (int s = 1; s < STATES.size(); s++) {
                state.put(
                        STATES.get(s),
                        save.tensor(DType.FLOAT32, Shape.of(part), flat(runs, s, from)));
            }
            states.add(new PyDict.Entry(PyInt.of(g), PyDict.of(state)));
            masters.add(save.tensor(DType.FLOAT32, Shape.of(part), flat(runs, 0, from)));
            slices.add(slices(groups.get(g), runs, from, from + part));
        }
        save.write(
                folder.resolve(name),
                root.with(
                        "optimizer_state_dict",
                        optimizer
                                .with("base_optimizer_state", base.with("state", PyDict.of(states)))
                                .with("single_partition_of_fp32_groups", PyList.of(masters))
                                .with("group_paddings", PyList.of(paddings))
                                .with("partition_count", PyList.of(counts))
                                .with("param_slice_mappings", PyList.of(slices))));
    }

    private static PickleValue slices(List<Tensor> group, List<Run> runs, long low, long high) {
        List<Tensor> here = new ArrayList<>();
        Map<Tensor, PickleValue> addresses = new LinkedHashMap<>();
        for (int k = 0; k < group.size(); k++) {
            long from = Math.max(low, runs.get(k).start());
            long to = Math.min(high, runs.get(k).start() + runs.get(k).count());
            if (from < to) {
                here.add(group.get(k));
                PyGlobal address =
                        new PyGlobal("deepspeed.utils.tensor_fragment", "fragment_address");
                SequencedMap<String, PickleValue> fields = new LinkedHashMap<>();
                fields.put("numel", PyInt.of(to - from));
                fields.put("start", PyInt.of(from - low));
                addresses.put(
                        group.get(k), PyObject.instance(address).withState(PyDict.of(fields)));
            }
        }
        return ordered(here, addresses::get);
    }

    private static PyObject ordered(List<Tensor> tensors, Function<Tensor, PickleValue> value) {
        SequencedMap<String, PickleValue> items = new LinkedHashMap<>();
        tensors.forEach(t -> items.put(t.name(), value.apply(t)));
        return PyObject.orderedDict(PyDict.of(items));
    }

    private static List<PickleValue> sizes(Shape shape) {
        Stream<PickleValue> sizes = Arrays.stream(shape.dims()).mapToObj(PyInt::of);
        return sizes.toList();
    }
}
