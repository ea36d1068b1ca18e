// Kafka Streams, one thread, stores in memory with their caches and changelogs:
// java -cp JARS benchmarks/peers/KafkaStreamsPeer.java JOB BOOTSTRAP PREFIX GROUP EVENTS
// For the job `sessions`, PREFIX is the input topic. Session windows with an inactivity gap of 30 minutes count
// events; the start and end are in the window's key. They use the default store (RocksDB), because searching the
// cache of the in-memory store takes longer with more windows.

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.Stores;

public final class KafkaStreamsPeer {
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static KafkaStreams streams;
    private static long seen;
    private static long wall;
    private static long cpu;

    public static void main(String[] args) throws Exception {
        String job = args[0], bootstrap = args[1], prefix = args[2];
        long events = Long.parseLong(args[4]);
        long from = job.equals("sessions") ? events / 2 : 0;
        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], byte[]> in = builder.stream(job.equals("sessions") ? prefix : prefix + "-in");
        if (!job.equals("recover")) {
            in.peek((key, value) -> note(from, events));
        }
        if (job.equals("forward")) {
            in.to(prefix + "-out");
        } else if (job.equals("recover")) {
            in.groupByKey().reduce((one, other) -> other, Materialized.as(Stores.inMemoryKeyValueStore("counts")));
        } else if (job.equals("table")) {
            in.groupByKey().count(Materialized.as(Stores.inMemoryKeyValueStore("counts")));
        } else if (job.equals("sessions")) {
            Duration gap = Duration.ofMinutes(30);
            in.groupByKey()
                    .windowedBy(SessionWindows.ofInactivityGapAndGrace(gap, Duration.ofHours(24)))
                    .count(Materialized.as("sessions"));
        }
        streams = new KafkaStreams(builder.build(), settings(args[3], bootstrap));
        if (job.equals("recover")) {
            streams.setGlobalStateRestoreListener(new RecoveryTimer(events));
        }
        streams.start();
        Thread.sleep(Long.MAX_VALUE);
    }

    /** Called for each event, by one thread; events before `from` warm up the JVM. */
    private static void note(long from, long events) {
        if (seen++ == from) {
            begin();
        }
        if (seen == events) {
            end(events - from);
        }
    }

    private static void begin() {
        wall = System.nanoTime();
        cpu = SYSTEM.getProcessCpuTime();
    }

    private static void end(long events) {
        System.out.printf(
                "{\"events\": %d, \"seconds\": %.6f, \"cpu_seconds\": %.6f}%n",
                events, (System.nanoTime() - wall) / 1e9, (SYSTEM.getProcessCpuTime() - cpu) / 1e9);
        System.out.flush();
        new Thread(KafkaStreamsPeer::close).start();
    }

    /** Flushes the caches, which takes a second and is not measured, and exits. */
    private static void close() {
        streams.close();
        Runtime.getRuntime().halt(0);
    }

    /** Measures from the start of the first store's restoration until all records are restored. */
    private static final class RecoveryTimer implements StateRestoreListener {
        private final long events;
        private boolean began;
        private long restored;

        RecoveryTimer(long events) {
            this.events = events;
        }

        @Override
        public synchronized void onRestoreStart(TopicPartition partition, String store, long start, long end) {
            if (!began) {
                began = true;
                begin();
            }
        }

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long records) {}

        @Override
        public synchronized void onRestoreEnd(TopicPartition partition, String store, long records) {
            restored += records;
            if (restored == events) {
                end(events);
            }
        }
    }

    private static Properties settings(String group, String bootstrap) throws Exception {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("kstreams").toString());
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.producerPrefix("compression.type"), "snappy");
        settings.put(StreamsConfig.producerPrefix("batch.size"), 512 * 1024);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        return settings;
    }
}
