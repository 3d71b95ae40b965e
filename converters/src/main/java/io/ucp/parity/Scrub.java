package io.ucp.parity;

import io.ucp.convert.RunOptions;
import io.ucp.execute.Progress;
import io.ucp.parity.BlockReader.Finding;
import io.ucp.parity.Stripes.Block;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/// Reads a protected checkpoint and its parity and holds every block against its digest.
public final class Scrub {
    private Scrub() {}

    /// @throws java.nio.file.AccessDeniedException where this user may not read what there is
    public static Health of(ProtectedCheckpoint checkpoint, RunOptions options, Progress progress)
            throws IOException {
        List<Stripes> sets = checkpoint.manifest().stripes();
        Health health = new Health(checkpoint, sets);
        long total =
                checkpoint.manifest().files().mapToLong(StoredFile::size).sum()
                        + checkpoint.manifest().parityFiles().mapToLong(StoredFile::size).sum();
        StripeRun.over(StripeRun.all(sets), () -> new Worker(health), options, progress, total);
        files(health);
        checkpoint.otherManifests().forEach(health::addManifest);
        return health;
    }

    /// Files of which no block tells that they are wrong, and those that are wrong on purpose.
    private static void files(Health health) throws IOException {
        List<Stripes> sets = health.sets();
        for (int s = 0; s < sets.size(); s++) {
            ParitySet set = sets.get(s).set();
            for (int element = 0; element < set.code().elements(); element++) {
                List<StoredFile> files =
                        element < set.members().size()
                                ? set.members().get(element).files()
                                : List.of(set.parity().get(element - set.members().size()));
                for (StoredFile file : files) {
                    Path path = health.checkpoint().path(set, element, file);
                    if (file.isLost(path)) {
                        health.add(s, element, file);
                    }
                    boolean ofCheckpoint = element < set.members().size();
                    if (ofCheckpoint && health.isDamaged(file) && file.isWritten(path)) {
                        health.addWritten(path);
                    }
                }
            }
        }
    }

    private static final class Worker implements StripeRun.Worker {
        private final Health health;
        private final BlockReader reader;

        Worker(Health health) {
            this.health = health;
            this.reader = new BlockReader(health.checkpoint());
        }

        @Override
        public long work(Stripe at) throws IOException {
            Stripes stripes = health.sets().get(at.set());
            long bytes = 0;
            for (Block block : stripes.blocks(at.index())) {
                Finding finding = reader.read(stripes.set(), block);
                if (finding != Finding.WHOLE) {
                    health.add(at, block, finding);
                }
                bytes += block.length();
            }
            health.count(bytes);
            return bytes;
        }

        @Override
        public void close() throws IOException {
            reader.close();
        }
    }
}
