<?php
// SPDX-License-Identifier: Apache-2.0
// Answers with a version, by a class that Composer's autoloader finds.

require __DIR__ . '/../vendor/autoload.php';

const VERSION = 'one';
echo Sample\Greeting::text(VERSION);
