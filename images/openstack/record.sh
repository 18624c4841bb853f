#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lets the services that are named make their schemas on a database of this moment, and records them: see schema.py. Runs
# in a stage of the image's build whose other files are left behind.
set -e
install -d -o mysql -g mysql /run/mysqld
mariadb-install-db --user=mysql --datadir=/tmp/database --skip-test-db > /dev/null
mariadbd --no-defaults --user=mysql --datadir=/tmp/database --socket=/run/mysqld/mysqld.sock --bind-address=127.0.0.1 --skip-name-resolve \
    --innodb-flush-log-at-trx-commit=0 --skip-log-bin 2> /tmp/database.log &
database=$!
until mariadb-admin ping > /dev/null 2>&1; do
    kill -0 $database || { cat /tmp/database.log; exit 1; }
    sleep 0.2
done
mariadb -e "CREATE USER root@'127.0.0.1' IDENTIFIED BY 'recording'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION"
printf recording > /tmp/password

configured() {  # FILE [SECTION DATABASE]...
    file=$1
    shift
    install -d "$(dirname "$file")"
    printf '[DEFAULT]\ncore_plugin = ml2\ntransport_url = rabbit://a:b@127.0.0.1:5672/\n' > "$file"
    while [ $# -gt 0 ]; do
        printf '[%s]\nconnection = mysql+pymysql://%s:recording@127.0.0.1/%s\n' "$1" "${2%_api}" "$2" >> "$file"
        shift 2
    done
}
configured /etc/keystone/keystone.conf database keystone
configured /etc/placement/placement.conf placement_database placement
configured /etc/glance/glance-api.conf database glance
configured /etc/neutron/neutron.conf database neutron
configured /etc/heat/heat.conf database heat
configured /etc/nova/nova.conf api_database nova_api database nova

DATABASE_PASSWORD_FILE=/tmp/password python3 /tmp/schema.py record "$@"
kill $database
wait $database || true
