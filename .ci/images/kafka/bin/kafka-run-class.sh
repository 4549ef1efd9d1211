#!/bin/bash
# kafka-run-class.sh CLASS [ARGUMENTS]
log=${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml}
# The option variables must be split into words.
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx512m -Xms128m} -XX:+UseSerialGC -Djava.awt.headless=true $log $KAFKA_OPTS -cp '/opt/kafka/libs/*' "$@"
