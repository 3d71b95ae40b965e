package io.ucp.parity;

import io.ucp.convert.RunOptions;
import io.ucp.execute.Progress;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.io.FileLocks;
import io.ucp.io.WholeFile;
import io.ucp.parity.ParityManifest.Pointer;
import io.ucp.parity.Stripes.Block;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/// Rebuilds what is missing or damaged, bit for bit and with its time. A file is written whole
/// under a temporary name beside its own and takes its place at the end; one that was damaged is
/// there as it was until then. Temporary names are always the same, so that a repair that was
/// killed leaves nothing that the next does not take up.
public final class Repair {
    private static final String SUFFIX = ".ucp-repair";

    private final Health health;
    private final boolean sync;
    private final Map<StoredFile, Rebuilt> files = new HashMap<>();

    private Repair(Health health, boolean sync) {
        this.health = health;
        this.sync = sync;
    }

    /// @return the files that were rebuilt, sorted; pointers that were missing included
    /// @throws IncompleteCheckpointException where more is lost than can be made up for; nothing is
    ///   written then
    public static List<Path> of(Health health, RunOptions options, Progress progress)
            throws IOException {
        Shortfall shortfall = health.shortfall();
        if (!shortfall.isEmpty()) {
            throw shortfall.refusal();
        }
        Repair repair = new Repair(health, options.output().sync());
        try {
            repair.open();
            List<Stripe> stripes = repair.stripes();
            long total = repair.files.keySet().stream().mapToLong(StoredFile::size).sum();
            StripeRun.over(stripes, repair::worker, options, progress, total);
            return repair.commit();
        } finally {
            repair.discard();
        }
    }

    /// A file on its way.
    private record Rebuilt(Path target, Path temporary, FileChannel channel, long modified) {}

    private void open() throws IOException {
        for (Health.Place place : health.places()) {
            ParitySet set = health.sets().get(place.set()).set();
            Path target = health.checkpoint().path(set, place.element(), place.file());
            Path folder = folder(target);
            Files.createDirectories(folder);
            Path temporary = temporary(target);
            FileChannel channel =
                    FileChannel.open(
                            temporary, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
            if (!FileLocks.take(channel)) {
                channel.close();
                throw new FileSystemException(
                        target.toString(),
                        null,
                        "another repair is writing this file; expected one at a time\n"
                                + "hint: wait until that one has ended");
            }
            channel.truncate(0);
            files.put(
                    place.file(), new Rebuilt(target, temporary, channel, place.file().modified()));
        }
    }

    private static Path temporary(Path file) {
        return file.resolveSibling(".%s%s".formatted(file.getFileName(), SUFFIX));
    }

    /// Whether a repair is making it, or left it when it was killed.
    public static boolean isTemporary(Path file) {
        String name = String.valueOf(file.getFileName());
        return name.startsWith(".") && name.endsWith(SUFFIX);
    }

    private static Path folder(Path file) {
        Path folder = file.toAbsolutePath().getParent();
        return folder == null ? file.toAbsolutePath() : folder;
    }

    /// Those in which damaged files have blocks.
    private List<Stripe> stripes() {
        Map<Integer, BitSet> touched = new HashMap<>();
        for (Health.Place place : health.places()) {
            Stripes stripes = health.sets().get(place.set());
            BitSet of = touched.computeIfAbsent(place.set(), _ -> new BitSet());
            if (place.element() >= stripes.set().members().size()) {
                of.set(0, stripes.count());
            } else {
                List<StoredFile> ofMember = stripes.set().members().get(place.element()).files();
                Stripes.Range range = stripes.of(place.element(), ofMember.indexOf(place.file()));
                of.set(range.from(), range.to());
            }
        }
        List<Stripe> all = new ArrayList<>();
        touched.forEach((set, of) -> of.stream().forEach(t -> all.add(new Stripe(set, t))));
        return all;
    }

    private StripeRun.Worker worker() {
        StripeDecoder decoder = new StripeDecoder(health.checkpoint(), health.sets());
        return new StripeRun.Worker() {
            @Override
            public long work(Stripe at) throws IOException {
                return rebuild(at, decoder);
            }

            @Override
            public void close() throws IOException {
                decoder.close();
            }
        };
    }

    /// Copies the whole blocks of damaged files, and decodes the others.
    private long rebuild(Stripe at, StripeDecoder decoder) throws IOException {
        Stripes stripes = health.sets().get(at.set());
        BitSet lost = (BitSet) health.lost(at).clone();
        long bytes = 0;
        for (Block block : stripes.blocks(at.index())) {
            if (files.containsKey(block.file()) && !lost.get(block.element())) {
                if (decoder.reader().read(stripes.set(), block) == BlockReader.Finding.WHOLE) {
                    write(block, decoder.reader().block());
                    bytes += block.length();
                } else {
                    lost.set(block.element()); // since it was looked at
                }
            }
        }
        if (!lost.isEmpty()) {
            Map<Integer, ByteBuffer> decoded = decoder.decode(at, lost);
            for (Map.Entry<Integer, ByteBuffer> each : decoded.entrySet()) {
                Block block = stripes.block(each.getKey(), at.index()).orElseThrow();
                if (files.containsKey(block.file())) {
                    write(block, each.getValue());
                    bytes += block.length();
                }
            }
        }
        return bytes;
    }

    private void write(Block block, ByteBuffer bytes) throws IOException {
        Rebuilt file = Objects.requireNonNull(files.get(block.file()));
        long at = block.offset();
        while (bytes.hasRemaining()) {
            at += file.channel().write(bytes, at);
        }
    }

    private List<Path> commit() throws IOException {
        List<Path> done = new ArrayList<>();
        for (Rebuilt file : files.values()) {
            if (file.modified() != StoredFile.UNKNOWN) {
                Files.setLastModifiedTime(file.temporary(), FileTime.fromMillis(file.modified()));
            }
            if (sync) {
                file.channel().force(true);
            }
            move(file.temporary(), file.target());
            file.channel().close();
            done.add(file.target());
        }
        files.clear();
        done.addAll(manifests());
        done.addAll(pointers());
        if (sync) {
            for (Path folder : done.stream().map(Repair::folder).distinct().toList()) {
                try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
                    channel.force(true);
                }
            }
        }
        done.sort(null);
        return done;
    }

    private static void move(Path from, Path to) throws IOException {
        Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /// Copies of the manifest that are missing or not like the one that was read.
    private List<Path> manifests() throws IOException {
        byte[] text = WholeFile.read(health.checkpoint().manifestFile());
        List<Path> written = health.checkpoint().otherManifests();
        for (Path copy : written) {
            write(copy, text);
        }
        return written;
    }

    /// Last, since they say that the rest is there. One that is there has its reasons.
    private List<Path> pointers() throws IOException {
        List<Path> written = new ArrayList<>();
        for (Pointer pointer : health.checkpoint().manifest().pointers()) {
            Path path = health.checkpoint().base().resolve(pointer.path());
            if (Files.notExists(path)) {
                write(path, pointer.text().getBytes(StandardCharsets.UTF_8));
                written.add(path);
            }
        }
        return written;
    }

    private void write(Path path, byte[] bytes) throws IOException {
        Files.createDirectories(folder(path));
        Path temporary = temporary(path);
        try (FileChannel channel =
                FileChannel.open(
                        temporary,
                        StandardOpenOption.WRITE,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING)) {
            ByteBuffer rest = ByteBuffer.wrap(bytes);
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            if (sync) {
                channel.force(true);
            }
        }
        move(temporary, path);
    }

    private void discard() throws IOException {
        for (Rebuilt file : files.values()) {
            file.channel().close();
            Files.deleteIfExists(file.temporary());
        }
    }
}
