package io.ucp.parity;

import io.ucp.convert.OpenedSource;
import io.ucp.convert.RunOptions;
import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;
import io.ucp.parity.ParitySet.Member;
import io.ucp.parity.Stripes.Block;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;

/// Makes the parity of a checkpoint.
public final class Protection {
    /// Bytes.
    private static final int BLOCK = 1 << 20;

    private final ProtectedCheckpoint checkpoint;
    private final List<Stripes> sets;
    private final List<List<FileChannel>> outputs = new ArrayList<>();

    private Protection(ProtectedCheckpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.sets = checkpoint.manifest().stripes();
    }

    /// What is to be protected, and how.
    ///
    /// @param base the folder, or one in which the checkpoint's own folder lies
    /// @param data members of a set at most
    /// @param parity how many of a set may be lost
    ///
    /// @param blockSize bytes, a multiple of [PlaneSums#GRAIN]
    public record Request(
            Path base,
            OpenedSource opened,
            Grouping grouping,
            int data,
            int parity,
            int blockSize) {
        public Request {
            boolean possible =
                    data >= 1
                            && parity >= 1
                            && data + parity <= CauchyCode.MOST
                            && blockSize >= PlaneSums.GRAIN
                            && blockSize <= ParityManifest.LARGEST_BLOCK
                            && blockSize % PlaneSums.GRAIN == 0;
            if (!possible) {
                throw new IllegalArgumentException(
                        "%d + %d, blocks of %d".formatted(data, parity, blockSize));
            }
        }

        /// With blocks of 1 MiB.
        public Request(Path base, OpenedSource opened, Grouping grouping, int data, int parity) {
            this(base, opened, grouping, data, parity, BLOCK);
        }
    }

    /// @param holders the folders of the parity, sorted
    public record Report(
            int files,
            long bytes,
            long parityBytes,
            int sets,
            int largestSet,
            List<String> holders) {
        public Report {
            holders = List.copyOf(holders);
        }
    }

    /// Reads every file once and writes the parity, which appears whole or not at all.
    ///
    /// @throws io.ucp.convert.OutputExistsException where `output` exists
    /// @throws io.ucp.layout.ImpossibleLayoutException where there are no such groups
    public static Report run(Request request, Path output, RunOptions options, Progress progress)
            throws IOException {
        return run(request, output, false, options, progress);
    }

    /// The same where `output` may be there: it stays until the new parity is whole.
    public static Report replace(
            Request request, Path output, RunOptions options, Progress progress)
            throws IOException {
        return run(request, output, true, options, progress);
    }

    private static Report run(
            Request request, Path output, boolean replaces, RunOptions options, Progress progress)
            throws IOException {
        Listing listing = Listing.of(request.base(), request.opened());
        Path own = Listing.canonical(request.opened().taken().folder());
        if (Listing.canonical(output).startsWith(own)) {
            throw new RefusedException(
                    output.toString(),
                    "parity inside of what it protects",
                    "a place that is not lost with the checkpoint",
                    "name an -o elsewhere");
        }
        ParityManifest draft = manifest(request, listing);
        boolean sync = options.output().sync();
        try (NewFolder folder =
                replaces ? NewFolder.replacing(output, sync) : NewFolder.create(output, sync)) {
            Protection protection =
                    new Protection(
                            new ProtectedCheckpoint(
                                    request.base(), folder.path(), folder.path(), draft));
            folder.requireSpace(draft.parityFiles().mapToLong(StoredFile::size).sum());
            protection.encode(options, progress);
            listing.requireUnchanged();
            ParityManifest manifest = withDigests(draft);
            byte[] text = ManifestWriter.bytes(manifest);
            List<String> holders = holders(manifest);
            for (String holder : holders) {
                folder.write(holder + "/" + ParityManifest.FILE, text);
            }
            folder.write(ParityManifest.FILE, text);
            folder.commit();
            return report(manifest, holders);
        }
    }

    private static Report report(ParityManifest manifest, List<String> holders) {
        return new Report(
                (int) manifest.files().count(),
                manifest.files().mapToLong(StoredFile::size).sum(),
                manifest.parityFiles().mapToLong(StoredFile::size).sum(),
                manifest.sets().size(),
                manifest.sets().stream().mapToInt(s -> s.members().size()).max().orElse(0),
                holders);
    }

    private static List<String> holders(ParityManifest manifest) {
        TreeSet<String> holders = new TreeSet<>();
        manifest.parityFiles()
                .forEach(f -> holders.add(f.path().substring(0, f.path().indexOf('/'))));
        return List.copyOf(holders);
    }

    /// The manifest without digests: they are filled in while encoding.
    private static ParityManifest manifest(Request request, Listing listing) {
        List<ParitySet> sets = new ArrayList<>();
        int block = request.blockSize();
        for (Grouping.Draft draft :
                request.grouping().drafts(listing, request.data(), request.parity())) {
            List<Member> members = new ArrayList<>();
            for (Grouping.Part part : draft.members()) {
                List<StoredFile> files = new ArrayList<>();
                for (String path : part.paths()) {
                    long size = listing.size(path);
                    files.add(
                            undigested(
                                    path,
                                    size,
                                    listing.modified(path),
                                    Stripes.blocks(size, block)));
                }
                members.add(new Member(part.name(), files));
            }
            Stripes stripes = new Stripes(new ParitySet(draft.name(), members, List.of()), block);
            List<StoredFile> parity = new ArrayList<>();
            for (int r = 0; r < request.parity(); r++) {
                String path =
                        String.format(
                                Locale.ROOT,
                                "%s/set-%d.%d.parity",
                                draft.holders().get(r),
                                sets.size(),
                                r);
                parity.add(
                        undigested(
                                path, stripes.paritySize(), StoredFile.UNKNOWN, stripes.count()));
            }
            sets.add(new ParitySet(draft.name(), members, parity));
        }
        return new ParityManifest(
                request.opened().taken().format(),
                request.opened().taken().tag(),
                listing.folder(),
                request.grouping().toString(),
                request.data(),
                request.parity(),
                block,
                listing.pointers(),
                sets);
    }

    private static StoredFile undigested(String path, long size, long modified, int blocks) {
        return new StoredFile(path, size, modified, "", new BlockDigests(new long[blocks]));
    }

    private static ParityManifest withDigests(ParityManifest draft) {
        List<ParitySet> sets = new ArrayList<>();
        for (ParitySet set : draft.sets()) {
            Stripes stripes = new Stripes(set, draft.blockSize());
            List<Member> members =
                    set.members().stream()
                            .map(
                                    m ->
                                            new Member(
                                                    m.name(),
                                                    m.files().stream()
                                                            .map(f -> digested(f, draft))
                                                            .toList()))
                            .toList();
            List<StoredFile> parity =
                    set.parity().stream()
                            .map(
                                    f ->
                                            new StoredFile(
                                                    f.path(),
                                                    f.size(),
                                                    f.modified(),
                                                    f.blocks().ofFile(stripes::size),
                                                    f.blocks()))
                            .toList();
            sets.add(new ParitySet(set.name(), members, parity));
        }
        return new ParityManifest(
                draft.format(),
                draft.tag(),
                draft.folder(),
                draft.group(),
                draft.data(),
                draft.parity(),
                draft.blockSize(),
                draft.pointers(),
                sets);
    }

    private static StoredFile digested(StoredFile file, ParityManifest of) {
        int block = of.blockSize();
        String digest =
                file.blocks().ofFile(k -> (int) Math.min(block, file.size() - (long) k * block));
        return new StoredFile(file.path(), file.size(), file.modified(), digest, file.blocks());
    }

    private void encode(RunOptions options, Progress progress) throws IOException {
        try {
            for (Stripes stripes : sets) {
                List<FileChannel> ofSet = new ArrayList<>();
                outputs.add(ofSet);
                for (StoredFile file : stripes.set().parity()) {
                    Path path = checkpoint.parity().resolve(file.path());
                    Files.createDirectories(path.resolveSibling("."));
                    ofSet.add(
                            FileChannel.open(
                                    path, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW));
                }
            }
            long total = checkpoint.manifest().files().mapToLong(StoredFile::size).sum();
            StripeRun.over(StripeRun.all(sets), Encoder::new, options, progress, total);
            if (options.output().sync()) {
                for (List<FileChannel> ofSet : outputs) {
                    for (FileChannel channel : ofSet) {
                        channel.force(true);
                    }
                }
            }
        } finally {
            for (List<FileChannel> ofSet : outputs) {
                for (FileChannel channel : ofSet) {
                    channel.close();
                }
            }
        }
    }

    /// Reads the blocks of a stripe one after the other; holds one of them and the sums.
    private final class Encoder implements StripeRun.Worker {
        private final int parity = checkpoint.manifest().parity();
        private final BlockReader reader = new BlockReader(checkpoint);
        private final PlaneSums sums = new PlaneSums(parity, checkpoint.manifest().blockSize());
        private final ByteBuffer buffer =
                ByteBuffer.allocateDirect(checkpoint.manifest().blockSize());
        private final int[] factors = new int[parity];

        @Override
        public long work(Stripe at) throws IOException {
            Stripes stripes = sets.get(at.set());
            int size = stripes.size(at.index());
            sums.reset(size);
            long read = 0;
            for (int member = 0; member < stripes.set().members().size(); member++) {
                Block block = stripes.block(member, at.index()).orElse(null);
                if (block != null) {
                    block.file().blocks().values()[block.index()] =
                            reader.digest(stripes.set(), block);
                    int of = member;
                    Arrays.setAll(factors, r -> CauchyCode.coefficient(r, of));
                    sums.add(reader.padded(size), factors);
                    read += block.length();
                }
            }
            for (int r = 0; r < parity; r++) {
                write(at.set(), at.index(), r);
            }
            return read;
        }

        private void write(int set, int index, int row) throws IOException {
            Stripes stripes = sets.get(set);
            buffer.clear().limit(stripes.size(index));
            sums.get(row, buffer);
            Block block = stripes.block(stripes.set().members().size() + row, index).orElseThrow();
            block.file().blocks().values()[index] = BlockDigests.of(buffer);
            FileChannel channel = outputs.get(set).get(row);
            long at = block.offset();
            while (buffer.hasRemaining()) {
                at += channel.write(buffer, at);
            }
        }

        @Override
        public void close() throws IOException {
            reader.close();
        }
    }
}
